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
import { ident, literal } from '../src/data/sql-text.js'
import { columnName as name, MEMBER_CAUSE, sessionCause, userCause } from './cause-sql.js'
import { epochTable, outboxTable, outboxTablesSql } from './outbox-sql.js'
import { rotationFunctionsSql, rotationTablesSql } from './rotation-sql.js'
import { triggersOf } from './triggers-sql.js'

/** LISTEN here. Shared by all schemas of a database: a wake-up too many costs one empty poll. */
export const REVOCATION_CHANNEL = 'session_gateway_revocation'

/** Makes outbox, epoch, functions and triggers, or brings older ones up to date. Run it in one transaction. */
export function revocationSql(shape: AuthShape): string {
  return `${definitionOf(shape)}\n${comment(shape)}`
}

/** True when exactly this version is in force: every trigger is there and fires. */
export async function revocationInstalled(sql: ISql, shape: AuthShape): Promise<boolean> {
  const expected = triggersOf(shape).map(({ table, name }) => `${table} ${name}`)
  const [found] = await sql<[{ version: string | null; triggers: string[] | null }]>`
    select obj_description(to_regclass(${outboxTable(shape)}), 'pg_class') as version,
           (select json_agg(c.relname || ' ' || t.tgname)
              from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
             where n.nspname = ${shape.schema} and t.tgname like 'gateway\\_%' and t.tgenabled = 'A') as triggers`
  const firing = new Set(found.triggers)
  return found.version === versionOf(shape) && expected.every(trigger => firing.has(trigger))
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
    ...functionsSql(shape),
    ...rotationFunctionsSql(shape),
    ...triggersOf(shape).map(({ sql }) => sql),
    bumpSql(shape)
  ].join('\n')
}

/** What changed while the triggers were missing or older is unknown: every cached session is in doubt. */
function bumpSql(shape: AuthShape): string {
  return `UPDATE ${epochTable(shape)} SET n = n + 1;`
}

function functionsSql(shape: AuthShape): string[] {
  const { schema, tables } = shape
  // The outbox holds a digest, the one the cache keys are made of: never a token.
  const digest = `encode(sha256(convert_to(OLD.${name(tables.session, 'token')}, 'UTF8')), 'hex')`
  const put = (kind: string, key: string, cause: string): string =>
    `INSERT INTO ${outboxTable(shape)} (kind, key, cause) VALUES ('${kind}', ${key}, ${cause});`
  const id = `OLD.${name(tables.user, 'id')}::text`
  const functions = [
    triggerFunction(schema, 'gateway_session_changed', put('s', digest, sessionCause(tables.session))),
    triggerFunction(schema, 'gateway_user_changed', put('u', id, userCause(tables.user))),
    triggerFunction(schema, 'gateway_truncated', `UPDATE ${epochTable(shape)} SET n = n + 1;`)
  ]
  if (tables.member === undefined) return functions
  const member = name(tables.member, 'userId')
  const body = `IF TG_OP <> 'INSERT' THEN ${put('u', `OLD.${member}::text`, MEMBER_CAUSE)} END IF;
  IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.${member} IS DISTINCT FROM OLD.${member}) THEN
    ${put('u', `NEW.${member}::text`, MEMBER_CAUSE)}
  END IF;`
  return [...functions, triggerFunction(schema, 'gateway_member_changed', body)]
}

/**
 * With the rights of their owner: another application's role that may delete a session needs no right on the outbox.
 * The search path is fixed, or that role could put a function of its own in front of ours.
 */
function triggerFunction(schema: string, name: string, body: string): string {
  const qualified = `${ident(schema)}.${ident(name)}`
  return `CREATE OR REPLACE FUNCTION ${qualified}() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $gateway$
BEGIN
  ${body}
  PERFORM pg_notify(${literal(REVOCATION_CHANNEL)}, '');
  RETURN NULL;
END $gateway$;
REVOKE ALL ON FUNCTION ${qualified}() FROM PUBLIC;`
}
