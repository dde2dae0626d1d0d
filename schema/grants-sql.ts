/** The least a gateway's role needs (R75), for a database whose tables belong to another role: the one that migrates. */
import type { AuthMode } from '../src/data/finding.js'
import type { AuthModelName } from '../src/data/auth-models.js'
import type { AuthShape } from '../src/data/auth-shape.js'
import { ident } from '../src/data/sql-text.js'
import { epochTable, nodeTable, outboxTable } from './outbox-sql.js'

const READ_ATTACHED: readonly AuthModelName[] = ['user', 'session', 'member']

/** hosted: Better Auth's reads and writes. attached: reading what a look-up joins, nothing else. */
export function grantsSql(shape: AuthShape, mode: AuthMode, role: string): string {
  const to = `TO ${ident(role)};`
  const tables = Object.entries(shape.tables)
    .filter(([model]) => mode === 'hosted' || READ_ATTACHED.includes(model as AuthModelName))
    .map(([, { name }]) => `${ident(shape.schema)}.${ident(name)}`)
  const rights = mode === 'hosted' ? 'SELECT, INSERT, UPDATE, DELETE' : 'SELECT'
  const lines = [
    `GRANT USAGE ON SCHEMA ${ident(shape.schema)} ${to}`,
    ...tables.map(table => `GRANT ${rights} ON ${table} ${to}`),
    // The triggers write with their owner's rights; the gateway reads, and deletes what every gateway has seen.
    `GRANT SELECT, DELETE ON ${outboxTable(shape)} ${to}`,
    `GRANT SELECT ON ${epochTable(shape)} ${to}`,
    `GRANT SELECT, INSERT, UPDATE, DELETE ON ${nodeTable(shape)} ${to}`
  ]
  if (mode === 'hosted' && shape.idKind === 'serial') {
    lines.push(`GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${ident(shape.schema)} ${to}`)
  }
  return lines.join('\n')
}
