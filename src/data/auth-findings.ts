/**
 * What is wrong with a recognised database, each with the SQL that mends it. A problem keeps the gateway from
 * working or makes it slow for everybody; a warning does not. Attached, the gateway only reads users, sessions and
 * members, so nothing else is asked for.
 */
import type { CatalogServer, CatalogTable } from './auth-catalog.js'
import { columnFindings, READ_ATTACHED } from './auth-column-findings.js'
import { createIndex, createTable, tableText } from './auth-mend.js'
import { AUTH_MODEL_NAMES, type AuthModelName } from './auth-models.js'
import { columnFor, type Recognised } from './auth-shape.js'
import { type Asked, type Finding, placeOf, problem } from './finding.js'
import { ident } from './sql-text.js'

const MIN_VERSION = 14
const NEEDED_HOSTED: readonly AuthModelName[] = ['account', 'verification', 'jwks']

export function serverFindings({ version, versionText, inRecovery }: CatalogServer): Finding[] {
  const messages: string[] = []
  if (version < MIN_VERSION * 10_000) messages.push(`PostgreSQL ${versionText} is too old, ${MIN_VERSION} is needed.`)
  // A replica may lag: a session that ended on the primary would go on here.
  if (inRecovery) messages.push('leads to a replica (pg_is_in_recovery). Sessions are checked on the primary only.')
  return messages.map(message => problem('env DATABASE_URL', message, [], false))
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
