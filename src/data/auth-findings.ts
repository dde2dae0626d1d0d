/**
 * What is wrong with a recognised database, each with the SQL that mends it. A problem keeps the gateway from
 * working or makes it slow for everybody; a warning does not. Attached, the gateway only reads users, sessions and
 * members, so nothing else is asked for.
 */
import type { CatalogColumn, CatalogServer, CatalogTable } from './auth-catalog.js'
import { addColumn, createIndex, createTable, tableText } from './auth-mend.js'
import { AUTH_MODEL_NAMES, type AuthField, type AuthModelName, authModel } from './auth-models.js'
import { columnFor, type Recognised } from './auth-shape.js'
import { ident } from './sql-text.js'

/** hosted: Better Auth runs here and writes; attached: it runs elsewhere and we read. */
export type AuthMode = 'hosted' | 'attached'

export interface Finding {
  readonly severity: 'problem' | 'warning'
  /** `table auth.session`. */
  readonly place: string
  readonly message: string
  /** Empty where SQL cannot help. */
  readonly mend: readonly string[]
  /** Nothing that is there changes: safe to run without asking. */
  readonly additive: boolean
}

interface Asked {
  readonly mode: AuthMode
  readonly role: string
}

const MIN_VERSION = 14
const NEEDED_HOSTED: readonly AuthModelName[] = ['account', 'verification', 'jwks']
const READ_ATTACHED: Readonly<Partial<Record<AuthModelName, readonly string[]>>> = {
  user: ['email', 'emailVerified'],
  session: ['token', 'userId', 'expiresAt', 'createdAt'],
  member: ['organizationId', 'userId', 'role']
}
const TIME_WITH_ZONE = 'timestamp with time zone'
const TIME_TYPES = [TIME_WITH_ZONE, 'timestamp without time zone']

export function serverFindings({ version, versionText, inRecovery }: CatalogServer): Finding[] {
  const findings: Finding[] = []
  const problem = (message: string): number =>
    findings.push({ severity: 'problem', place: 'env DATABASE_URL', message, mend: [], additive: false })
  if (version < MIN_VERSION * 10_000) problem(`PostgreSQL ${versionText} is too old, ${MIN_VERSION} is needed.`)
  // A replica may lag: a session that ended on the primary would go on here.
  if (inRecovery) problem('leads to a replica (pg_is_in_recovery). Sessions are checked on the primary only.')
  return findings
}

export function findingsOf(found: Recognised, asked: Asked): Finding[] {
  const findings: Finding[] = []
  for (const name of AUTH_MODEL_NAMES) {
    const table = found[name]
    if (table === undefined) {
      if (asked.mode === 'hosted' && NEEDED_HOSTED.includes(name)) findings.push(missingTable(found, name))
    } else if (asked.mode === 'hosted' || READ_ATTACHED[name] !== undefined) {
      findings.push(...columnFindings(found, name, table, asked), ...rightsFindings(table, asked))
    }
  }
  if (asked.mode === 'hosted') findings.push(...secondFactorFindings(found))
  return [...findings, ...indexFindings(found), ...referenceFindings(found)]
}

/** Whoever asked for a second factor elsewhere must not get in here with the password alone. */
function secondFactorFindings({ user, twoFactor }: Recognised): Finding[] {
  const column = columnFor(user, 'twoFactorEnabled')
  if (column === undefined || twoFactor !== undefined) return []
  const message = `has "${column.name}", but the table with the second factors is not beside it: they could not be asked for.`
  return [problem(placeOf(user), message, [], false)]
}

function missingTable(found: Recognised, name: AuthModelName): Finding {
  const mend = createTable(found, name)
  return problem(`schema ${found.session.schema}`, `has no table for Better Auth's "${name}".`, mend)
}

function problem(place: string, message: string, mend: readonly string[], additive = true): Finding {
  return { severity: 'problem', place, message, mend, additive }
}

function placeOf({ schema, name }: CatalogTable): string {
  return `table ${schema}.${name}`
}

function columnFindings(found: Recognised, name: AuthModelName, table: CatalogTable, { mode }: Asked): Finding[] {
  const findings: Finding[] = []
  const place = placeOf(table)
  const { fields } = authModel(name)
  const read = READ_ATTACHED[name] ?? []
  for (const [field, spec] of Object.entries(fields)) {
    const column = columnFor(table, field)
    const needed = mode === 'hosted' ? isWritten(found, spec) : read.includes(field)
    if (column === undefined) {
      if (!needed) continue
      findings.push(problem(place, `has no column for "${field}".`, [addColumn(found, name, table, field)]))
    } else if (needed || spec.plugin !== undefined) {
      findings.push(...typeFindings(found, table, column, spec))
    }
  }
  if (mode === 'hosted') findings.push(...neverWritten(name, table))
  return findings
}

/** The admin plugin is always there when we host; the others only where the database has their tables. */
function isWritten(found: Recognised, { plugin }: AuthField): boolean {
  if (plugin === 'twoFactor') return found.twoFactor !== undefined
  return plugin !== 'organization' || (found.organization !== undefined && found.member !== undefined)
}

function typeFindings(found: Recognised, table: CatalogTable, column: CatalogColumn, spec: AuthField): Finding[] {
  const retype = (type: string, using: string): string[] => [
    `ALTER TABLE ${tableText(table)} ALTER COLUMN ${ident(column.name)} TYPE ${type} USING ${using};`
  ]
  const wrong = (message: string, mend: readonly string[]): Finding[] => [
    problem(placeOf(table), `column "${column.name}" is ${column.type}, ${message}.`, mend, false)
  ]
  switch (spec.type) {
    case 'boolean':
      return column.category === 'B' ? [] : wrong('needs to be boolean', [])
    case 'number':
      return column.category === 'N' ? [] : wrong('needs to be integer', [])
    case 'date':
      return TIME_TYPES.includes(column.type) ? [] : wrong(`needs to be ${TIME_WITH_ZONE}`, [])
    case 'reference': {
      const target = spec.references && found[spec.references]
      const id = target && columnFor(target, 'id')
      if (id === undefined || id.category === column.category) return []
      return wrong(`but the id it refers to is ${id.type}`, retype(id.type, `${ident(column.name)}::${id.type}`))
    }
    case 'string':
      // An inet column refuses the empty address Better Auth writes when it knows none.
      if (column.category === 'I')
        return wrong('Better Auth writes text', retype('text', `host(${ident(column.name)})`))
      if (spec.plugin !== undefined && ['N', 'U'].includes(column.category)) return []
      return ['S', 'E'].includes(column.category)
        ? []
        : wrong('Better Auth writes text', retype('text', `${ident(column.name)}::text`))
  }
}

function neverWritten(name: AuthModelName, table: CatalogTable): Finding[] {
  const written = new Set(Object.keys(authModel(name).fields).map(field => columnFor(table, field)?.name))
  return table.columns
    .filter(({ notNull, hasDefault, category, name: column }) => {
      if (columnFor(table, 'id')?.name === column) return category === 'N' && !hasDefault
      return notNull && !hasDefault && !written.has(column)
    })
    .map(({ name: column }) => {
      const mend = `ALTER TABLE ${tableText(table)} ALTER COLUMN ${ident(column)} DROP NOT NULL;`
      const message = `column "${column}" is NOT NULL without a default, and Better Auth 1.7 never writes it: every insert fails.`
      return problem(placeOf(table), message, [mend], false)
    })
}

function rightsFindings(table: CatalogTable, { mode, role }: Asked): Finding[] {
  const rights = mode === 'hosted' ? 'SELECT, INSERT, UPDATE, DELETE' : 'SELECT'
  if (table.mayRead && (mode === 'attached' || table.mayWrite)) return []
  const mend = [
    `GRANT USAGE ON SCHEMA ${ident(table.schema)} TO ${ident(role)};`,
    `GRANT ${rights} ON ${tableText(table)} TO ${ident(role)};`
  ]
  return [problem(placeOf(table), `the role "${role}" lacks ${rights}.`, mend, false)]
}

function indexFindings(found: Recognised): Finding[] {
  const { user, session, member } = found
  const findings: Finding[] = []
  const demand = (table: CatalogTable, field: string, unique: boolean, why: string): void => {
    const column = columnFor(table, field)?.name
    if (column === undefined || isIndexed(table, column, unique)) return
    const message = `column "${column}" has no ${unique ? 'unique ' : ''}index: ${why}.`
    findings.push(problem(placeOf(table), message, [createIndex(table, [column], { unique })]))
  }
  demand(session, 'token', true, 'every look-up would read the whole table, and a token could name two sessions')
  demand(session, 'userId', false, "ending a user's sessions would read the whole table")
  demand(user, 'id', true, 'every look-up would read the whole table')
  if (member !== undefined) demand(member, 'userId', false, 'every look-up would read the whole table')
  return findings
}

function isIndexed(table: CatalogTable, column: string, unique: boolean): boolean {
  return table.indexes.some(({ columns, full, unique: isUnique }) =>
    unique ? full && isUnique && columns.join() === column : full && columns[0] === column
  )
}

/** Without the reference a deleted user's sessions stay in the table; the join still refuses them. */
function referenceFindings(found: Recognised): Finding[] {
  return (['session', 'account', 'member'] as const).flatMap(name => {
    const table = found[name]
    const column = table && columnFor(table, 'userId')?.name
    if (table === undefined || column === undefined) return []
    const key = table.foreignKeys.find(each => each.columns.join() === column)
    if (key?.onDelete === 'cascade') return []
    const target = `${tableText(found.user)} (${ident(columnFor(found.user, 'id')?.name ?? 'id')})`
    const drop = key === undefined ? [] : [`ALTER TABLE ${tableText(table)} DROP CONSTRAINT ${ident(key.name)};`]
    const add = `ALTER TABLE ${tableText(table)} ADD FOREIGN KEY (${ident(column)}) REFERENCES ${target} ON DELETE CASCADE;`
    const message = `rows of a deleted user are not deleted with it ("${column}" has no foreign key with ON DELETE CASCADE).`
    return [{ severity: 'warning' as const, place: placeOf(table), message, mend: [...drop, add], additive: false }]
  })
}
