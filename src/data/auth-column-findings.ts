/** What is wrong with the columns of one table: missing ones, types Better Auth cannot use, columns it never fills. */
import type { CatalogColumn, CatalogTable } from './auth-catalog.js'
import { addColumn, tableText } from './auth-mend.js'
import { type AuthField, type AuthModelName, authModel } from './auth-models.js'
import { columnFor, type Recognised } from './auth-shape.js'
import { type Asked, type Finding, placeOf, problem } from './finding.js'
import { ident } from './sql-text.js'

/** What a look-up reads; attached, nothing else is asked for. */
export const READ_ATTACHED: Readonly<Partial<Record<AuthModelName, readonly string[]>>> = {
  user: ['email', 'emailVerified'],
  session: ['token', 'userId', 'expiresAt', 'createdAt'],
  member: ['organizationId', 'userId', 'role']
}
const TIME_WITH_ZONE = 'timestamp with time zone'
const TIME_TYPES = [TIME_WITH_ZONE, 'timestamp without time zone']

export function columnFindings(
  found: Recognised,
  name: AuthModelName,
  table: CatalogTable,
  { mode }: Asked
): Finding[] {
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
