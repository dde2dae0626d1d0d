/** Which changes of which tables the triggers of `revocation-sql.ts` write to the outbox, and which they leave out. */
import type { CatalogColumn } from '../src/data/auth-catalog.js'
import type { AuthShape, AuthTable } from '../src/data/auth-shape.js'
import { ident, literal, nowAs } from '../src/data/sql-text.js'
import { columnName as name } from './cause-sql.js'
import { rotationTriggers } from './rotation-sql.js'

export interface Trigger {
  readonly table: string
  readonly name: string
  readonly sql: string
}

/**
 * One row: `firing`, whether every trigger is there and fires, and `version`, another one after every change of them.
 * So a poll knows of a trigger that was dropped or disabled, if only within one transaction and for one DELETE.
 */
export function triggerStateSql(shape: AuthShape): string {
  const triggers = triggersOf(shape)
  const expected = triggers.map(({ table, name }) => `(${literal(table)}, ${literal(name)})`)
  const tables = [...new Set(triggers.map(({ table }) => literal(table)))]
  return `select count(*) filter (where (c.relname, t.tgname) in (${expected.join(', ')})) = ${triggers.length} as firing,
    left(md5(string_agg(t.oid || ' ' || t.xmin::text, ',' order by t.oid)), 8) as version
    from pg_catalog.pg_class c join pg_catalog.pg_trigger t on t.tgrelid = c.oid
   where c.relnamespace = to_regnamespace(${literal(ident(shape.schema))}) and c.relname in (${tables.join(', ')})
     and starts_with(t.tgname, 'gateway_') and t.tgenabled = 'A'`
}

/** By name, in the order they are made. */
export function triggersOf(shape: AuthShape): Trigger[] {
  const { user, session, member } = shape.tables
  const triggers = [
    trigger(shape, session, 'session_deleted', 'AFTER DELETE', 'gateway_session_changed', wasLive(session)),
    trigger(shape, session, 'session_updated', 'AFTER UPDATE', 'gateway_session_changed', sessionEnds(session)),
    trigger(shape, user, 'user_deleted', 'AFTER DELETE', 'gateway_user_changed'),
    trigger(shape, user, 'user_updated', 'AFTER UPDATE', 'gateway_user_changed', differs(user, USER_FIELDS))
  ]
  if (member !== undefined) {
    const changed = 'AFTER INSERT OR UPDATE OR DELETE'
    triggers.push(trigger(shape, member, 'member_changed', changed, 'gateway_member_changed'))
  }
  for (const table of [session, user, member]) {
    if (table !== undefined) triggers.push(trigger(shape, table, 'truncated', 'AFTER TRUNCATE', 'gateway_truncated'))
  }
  return [...triggers, ...rotationTriggers(shape)]
}

const USER_FIELDS = ['id', 'role', 'banned', 'banExpires', 'email', 'name', 'emailVerified']

/**
 * No copy outlives the end it was made with, by the database's clock, and an end that is moved forward is told by
 * sessionEnds: of a row that has expired there is no copy. So clearing away a million of them tells nobody anything.
 */
function wasLive(session: AuthTable): string {
  const expires = session.columns.expiresAt as CatalogColumn
  return `(OLD.${ident(expires.name)} <= ${nowAs(expires)}) IS NOT TRUE`
}

/** A refresh moves the end forward and nothing else: it must not empty the cache. */
function sessionEnds(session: AuthTable): string {
  const expires = name(session, 'expiresAt')
  const changed = differs(session, ['token', 'userId', 'activeOrganizationId'])
  return `${changed} OR (NEW.${expires} >= OLD.${expires}) IS NOT TRUE`
}

/** Columns the table lacks cannot change. */
function differs(table: AuthTable, fields: readonly string[]): string {
  return fields
    .filter(field => table.columns[field] !== undefined)
    .map(field => `OLD.${name(table, field)} IS DISTINCT FROM NEW.${name(table, field)}`)
    .join(' OR ')
}

/** ALWAYS: also for changes that arrive by logical replication. */
function trigger(
  { schema }: AuthShape,
  table: AuthTable,
  what: string,
  when: string,
  runs: string,
  only?: string
): Trigger {
  const on = `${ident(schema)}.${ident(table.name)}`
  const level = when.includes('TRUNCATE') ? 'FOR EACH STATEMENT' : 'FOR EACH ROW'
  const condition = only === undefined ? '' : ` WHEN (${only})`
  const trigger = `gateway_${what}`
  const sql = `CREATE OR REPLACE TRIGGER ${trigger} ${when} ON ${on} ${level}${condition}
  EXECUTE FUNCTION ${ident(schema)}.${ident(runs)}();
ALTER TABLE ${on} ENABLE ALWAYS TRIGGER ${trigger};`
  return { table: table.name, name: trigger, sql }
}
