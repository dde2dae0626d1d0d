/** Whether the database still tells of every change, and whether it did so all the time. */
import { createHash } from 'node:crypto'
import type { AuthShape } from '../src/data/auth-shape.js'
import { ident, literal } from '../src/data/sql-text.js'
import { epochTable, outboxTable } from './outbox-tables.js'
import { revocationFunctions } from './revocation-functions.js'
import { rotationFunctions } from './rotation-sql.js'
import { FUNCTION_SETTINGS, type Trigger } from './trigger.js'
import { triggersOf } from './triggers-sql.js'

/**
 * One row: `firing`, whether every trigger is there, fires for every row and runs the very function that was made for
 * it, and nothing comes between these functions and what they write to; and `version`, another one after every change
 * of a trigger or of such a function. So a poll knows of a trigger that was dropped, disabled or emptied, if only
 * within one transaction and for one DELETE.
 */
export function triggerStateSql(shape: AuthShape): string {
  const triggers = triggersOf(shape)
  const sources = new Map(
    [...revocationFunctions(shape), ...rotationFunctions(shape)].map(({ name, source }) => [name, source])
  )
  const expected = ({ table, name, type, runs }: Trigger): string =>
    `(${literal(table)}, ${literal(name)}, ${type}, ${literal(runs)}, ${literal(sha256(sources.get(runs) ?? ''))})`
  const tables = [...new Set(triggers.map(({ table }) => literal(table)))]
  return `select count(*) filter (where t.tgqual is null and p.prosecdef and p.pronamespace = c.relnamespace
      and t.tgattr::text = '' and p.proconfig = array[${literal(FUNCTION_SETTINGS)}]
      and (c.relname, t.tgname, t.tgtype, p.proname, encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex'))
       in (${triggers.map(expected).join(', ')})) = ${triggers.length}
      and exists (select from ${epochTable(shape)}) and ${unhindered([outboxTable(shape), epochTable(shape)])} as firing,
    left(encode(sha256(string_agg(concat_ws(' ', t.oid, t.xmin, p.oid, p.xmin), ',' order by t.oid)::bytea), 'hex'), 8)
      as version
    from pg_catalog.pg_class c join pg_catalog.pg_trigger t on t.tgrelid = c.oid
    join pg_catalog.pg_proc p on p.oid = t.tgfoid
   where c.relnamespace = to_regnamespace(${literal(ident(shape.schema))}) and c.relname in (${tables.join(', ')})
     and starts_with(t.tgname, 'gateway_') and t.tgenabled = 'A'`
}

/** No trigger, rule or row security of somebody else can keep a row out of them. */
function unhindered(tables: readonly string[]): string {
  const oids = tables.map(table => `to_regclass(${literal(table)})`).join(', ')
  return `not exists (select from pg_catalog.pg_class x where x.oid in (${oids}) and (x.relrowsecurity
        or exists (select from pg_catalog.pg_rewrite r where r.ev_class = x.oid)
        or exists (select from pg_catalog.pg_trigger y where y.tgrelid = x.oid)))`
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
