/**
 * Revocation by the database itself: triggers write every change that ends a session or alters what a user may do
 * into an outbox, in the same transaction, whoever makes it (Better Auth, SQL, a cascade, another application).
 * Nothing here can be forgotten by application code, and nothing can be lost between commit and notification.
 * Gateways poll the outbox by transaction id; NOTIFY, with an empty payload, only wakes them earlier.
 *
 * All of it is built from the inspected shape and can be run again and again.
 */
import { createHash } from 'node:crypto'
import type { ISql } from 'postgres'
import type { AuthShape } from '../src/data/auth-shape.js'
import { literal } from '../src/data/sql-text.js'
import { epochTable, outboxTable, outboxTablesSql } from './outbox-tables.js'
import { revocationFunctions } from './revocation-functions.js'
import { rotationFunctions, rotationTablesSql } from './rotation-sql.js'
import { triggerStateSql } from './trigger-state-sql.js'
import { triggersOf } from './triggers-sql.js'

/** Makes outbox, epoch, functions and triggers, or brings older ones up to date. Run it in one transaction. */
export function revocationSql(shape: AuthShape): string {
  return `${definitionOf(shape)}\n${comment(shape)}`
}

/** True when exactly this version is in force: every trigger is there, fires, and runs what was made for it. */
export async function revocationInstalled(sql: ISql, shape: AuthShape): Promise<boolean> {
  const tables = [outboxTable(shape), epochTable(shape)].map(table => `to_regclass(${literal(table)})`)
  const [found] = await sql.unsafe<[{ version: string | null; both: boolean }]>(
    `select obj_description(${tables[0]}, 'pg_class') as version, num_nulls(${tables.join(', ')}) = 0 as both`
  )
  if (found.version !== versionOf(shape) || !found.both) return false
  const [{ firing }] = await sql.unsafe<[{ firing: boolean }]>(triggerStateSql(shape))
  return firing
}

function versionOf(shape: AuthShape): string {
  return `session-gateway revocation ${createHash('sha256').update(definitionOf(shape)).digest('hex').slice(0, 16)}`
}

function comment(shape: AuthShape): string {
  return `COMMENT ON TABLE ${outboxTable(shape)} IS ${literal(versionOf(shape))};`
}

function definitionOf(shape: AuthShape): string {
  return [
    outboxTablesSql(shape),
    rotationTablesSql(shape),
    ...[...revocationFunctions(shape), ...rotationFunctions(shape), ...triggersOf(shape)].map(({ sql }) => sql),
    bumpSql(shape)
  ].join('\n')
}

/** What changed while the triggers were missing or older is unknown: every cached session is in doubt. */
function bumpSql(shape: AuthShape): string {
  return `UPDATE ${epochTable(shape)} SET n = n + 1;`
}
