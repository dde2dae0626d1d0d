/**
 * The least a gateway's role needs (R75), for a database whose tables belong to another role: the one that migrates.
 */
import type { ISql } from 'postgres'
import type { AuthMode } from '../src/data/finding.js'
import type { AuthModelName } from '../src/data/auth-models.js'
import type { AuthShape } from '../src/data/auth-shape.js'
import { ident } from '../src/data/sql-text.js'
import { epochTable, nodeTable, outboxTable } from './outbox-tables.js'
import { oldTokenTable, rotationDueTable } from './rotation-sql.js'

/**
 * Of the gateway's own tables. The triggers write with their owner's rights; the gateway deletes what all have seen.
 */
type Right = readonly [table: (shape: AuthShape) => string, rights: string]

const OWN: readonly Right[] = [
  [outboxTable, 'SELECT, DELETE'],
  [epochTable, 'SELECT'],
  [nodeTable, 'SELECT, INSERT, UPDATE, DELETE']
]

/** Attached, tokens are the other server's to change. */
const OWN_HOSTED: readonly Right[] = [
  [rotationDueTable, 'SELECT, DELETE'],
  [oldTokenTable, 'SELECT, INSERT']
]

function ownOf(mode: AuthMode): readonly Right[] {
  return mode === 'hosted' ? [...OWN, ...OWN_HOSTED] : OWN
}

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
    ...ownOf(mode).map(([table, right]) => `GRANT ${right} ON ${table(shape)} ${to}`)
  ]
  if (mode === 'hosted' && shape.idKind === 'serial') {
    lines.push(`GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${ident(shape.schema)} ${to}`)
  }
  return lines.join('\n')
}

/** The GRANTs that the role of this connection still needs on the gateway's own tables, which must be there. */
export async function missingGrants(sql: ISql, shape: AuthShape, mode: AuthMode): Promise<string[]> {
  const missing: string[] = []
  for (const [tableOf, rights] of ownOf(mode)) {
    const table = tableOf(shape)
    for (const right of rights.split(', ')) {
      const [row] = await sql<[{ has: boolean; role: string }]>`
        select has_table_privilege(${table}::text, ${right}::text) as has, current_user as role`
      if (!row.has) missing.push(`GRANT ${right} ON ${table} TO ${ident(row.role)};`)
    }
  }
  return missing
}
