/** What the triggers on session, user and member write to the outbox, and what they leave out. */
import type { CatalogColumn } from '../src/data/auth-catalog.js'
import type { AuthShape, AuthTable } from '../src/data/auth-shape.js'
import { ident, literal, nowAs, tokenDigest } from '../src/data/sql-text.js'
import { MEMBER_CAUSE, columnName as name, sessionCause, userCause } from './cause-sql.js'
import { epochTable, outboxTable } from './outbox-tables.js'
import { type TriggerFunction, triggerFunction } from './trigger.js'

/** LISTEN here. Shared by all schemas of a database: a wake-up too many costs one empty poll. */
export const REVOCATION_CHANNEL = 'session_gateway_revocation'

const NOTIFY = `PERFORM pg_notify(${literal(REVOCATION_CHANNEL)}, '');`
const USER_FIELDS = ['id', 'role', 'banned', 'banExpires', 'email', 'name', 'emailVerified']

export function revocationFunctions(shape: AuthShape): TriggerFunction[] {
  const { user, session, member } = shape.tables
  const put = (kind: string, key: string, cause: string): string =>
    `INSERT INTO ${outboxTable(shape)} (kind, key, cause) VALUES ('${kind}', ${key}, ${cause}); ${NOTIFY}`
  const sessionChanged = onChange(
    wasLive(session),
    sessionEnds(session),
    put('s', tokenDigest(`OLD.${name(session, 'token')}`), sessionCause(session))
  )
  const userChanged = onChange(
    'true',
    differs(user, USER_FIELDS),
    put('u', `OLD.${name(user, 'id')}::text`, userCause(user))
  )
  const functions = [
    triggerFunction(shape, 'gateway_session_changed', sessionChanged),
    triggerFunction(shape, 'gateway_user_changed', userChanged),
    triggerFunction(shape, 'gateway_truncated', `UPDATE ${epochTable(shape)} SET n = n + 1; ${NOTIFY}`)
  ]
  if (member === undefined) return functions
  const userId = name(member, 'userId')
  const memberChanged = `IF TG_OP <> 'INSERT' THEN ${put('u', `OLD.${userId}::text`, MEMBER_CAUSE)} END IF;
  IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.${userId} IS DISTINCT FROM OLD.${userId}) THEN
    ${put('u', `NEW.${userId}::text`, MEMBER_CAUSE)}
  END IF;`
  return [...functions, triggerFunction(shape, 'gateway_member_changed', memberChanged)]
}

function onChange(deleted: string, updated: string, put: string): string {
  return `IF (CASE TG_OP WHEN 'DELETE' THEN ${deleted} ELSE ${updated} END) THEN
    ${put}
  END IF;`
}

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
