/**
 * Which sessions have to change their token, and which tokens they had. A trigger notes every session of a user whose
 * role changes, in the transaction of the change and whoever makes it; a gateway gives such a session a new token at
 * its next request. In tables of the gateway's own: Better Auth's stay as they are.
 *
 *   gateway_rotation_due   session_id                      has to change its token
 *   gateway_old_token      hash, session_id, grace_until   a token that was changed, as its SHA-256
 *
 * An old token opens a session until `grace_until`, by the database's clock; it ends one as long as the session lives.
 */
import type { CatalogColumn } from '../src/data/auth-catalog.js'
import type { AuthShape } from '../src/data/auth-shape.js'
import { ident, nowAs, tokenDigest } from '../src/data/sql-text.js'
import { columnName } from './cause-sql.js'
import { rowTrigger, statementTrigger, type Trigger, type TriggerFunction, triggerFunction } from './trigger.js'

const GRACE_SECONDS = 10

export interface RotationSql {
  /**
   * $1 a token, $2 a new one. One row when the session was due and has the new one now: of any number of tries, once.
   */
  readonly rotate: string
  /** $1 an old token. `token`: the one its session has now, while the grace lasts. */
  readonly current: string
  /** As `current`, whatever became of the grace. */
  readonly successor: string
  /** Of a session `s`, boolean. */
  readonly isDue: string
  /** FROM for look-ups by old tokens in grace: `$1` their array; in it `offered.token`, and the session as `s`. */
  readonly fromOldTokens: string
  /** The id of the session that had this token, whatever became of the grace; for a parameter's text. */
  readonly sessionOf: (parameter: string) => string
}

export function rotationSql(shape: AuthShape): RotationSql {
  const { session, id, token, expires, now, due, old } = names(shape)
  const idType = (shape.tables.session.columns['id'] as CatalogColumn).type
  const sessionOf = (parameter: string): string =>
    `(select o.session_id::${idType} from ${old} o where o.hash = ${tokenDigest(parameter)})`
  return {
    // The session's row is locked first, as by whoever deletes it: the other way round the two would wait for each
    // other.
    rotate: `with held as (
  select s.${id} as id from ${session} s where s.${token} = $1::text and s.${expires} > ${now} for no key update
), taken as (
  delete from ${due} d using held where d.session_id = held.id::text returning d.session_id
), kept as (
  insert into ${old} (hash, session_id, grace_until)
  select ${tokenDigest('$1::text')}, session_id, now() + interval '${GRACE_SECONDS} seconds' from taken
)
update ${session} s set ${token} = $2::text from taken
 where s.${id} = taken.session_id::${idType} and s.${token} = $1::text returning 1 as rotated`,
    current: `select s.${token} as token from ${old} o join ${session} s on s.${id} = o.session_id::${idType}
 where o.hash = ${tokenDigest('$1::text')} and o.grace_until > now() and s.${expires} > ${now}`,
    successor: `select s.${token} as token from ${session} s where s.${id} = ${sessionOf('$1::text')}`,
    isDue: `exists (select from ${due} d where d.session_id = s.${id}::text)`,
    fromOldTokens: `unnest($1::text[]) as offered (token)
join ${old} o on o.hash = ${tokenDigest('offered.token')} and o.grace_until > now()
join ${session} s on s.${id} = o.session_id::${idType}`,
    sessionOf
  }
}

export function rotationTablesSql(shape: AuthShape): string {
  const { due, old } = names(shape)
  return `CREATE TABLE IF NOT EXISTS ${due} (session_id text PRIMARY KEY);
CREATE TABLE IF NOT EXISTS ${old} (
  hash text PRIMARY KEY,
  session_id text NOT NULL,
  grace_until timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS gateway_old_token_session_idx ON ${old} (session_id);`
}

export function rotationFunctions(shape: AuthShape): TriggerFunction[] {
  const { session, id, userId, expires, now, due, old } = names(shape)
  const { user } = shape.tables
  const gone = (table: string) => `DELETE FROM ${table} t USING gone g WHERE t.session_id = g.${id}::text;`
  const functions = [
    triggerFunction(shape, 'gateway_sessions_gone', `${gone(due)}\n  ${gone(old)}`),
    triggerFunction(shape, 'gateway_sessions_cleared', `DELETE FROM ${due};\n  DELETE FROM ${old};`)
  ]
  if (user.columns['role'] === undefined) return functions
  const role = columnName(user, 'role')
  // An open session only: one that has expired can come back by no request. DO UPDATE waits for a rotation under way.
  const roleChanged = `IF OLD.${role} IS DISTINCT FROM NEW.${role} THEN
    INSERT INTO ${due} (session_id) SELECT s.${id}::text FROM ${session} s
      WHERE s.${userId} = NEW.${columnName(user, 'id')} AND s.${expires} > ${now}
    ON CONFLICT (session_id) DO UPDATE SET session_id = excluded.session_id;
  END IF;`
  return [...functions, triggerFunction(shape, 'gateway_role_changed', roleChanged)]
}

/** Gateways hear of the role and of the new token from the triggers of `triggers-sql.ts`. */
export function rotationTriggers(shape: AuthShape): Trigger[] {
  const { user, session } = shape.tables
  const triggers = [
    statementTrigger(shape, session, 'gateway_sessions_gone', 'DELETE', 'gateway_sessions_gone'),
    statementTrigger(shape, session, 'gateway_sessions_cleared', 'TRUNCATE', 'gateway_sessions_cleared')
  ]
  if (user.columns['role'] === undefined) return triggers
  return [...triggers, rowTrigger(shape, user, 'gateway_role_changed', ['UPDATE'], 'gateway_role_changed')]
}

export function rotationDueTable({ schema }: AuthShape): string {
  return `${ident(schema)}."gateway_rotation_due"`
}

export function oldTokenTable({ schema }: AuthShape): string {
  return `${ident(schema)}."gateway_old_token"`
}

function names(shape: AuthShape) {
  const { session } = shape.tables
  return {
    session: `${ident(shape.schema)}.${ident(session.name)}`,
    id: columnName(session, 'id'),
    token: columnName(session, 'token'),
    userId: columnName(session, 'userId'),
    expires: columnName(session, 'expiresAt'),
    now: nowAs(session.columns['expiresAt'] as CatalogColumn),
    due: rotationDueTable(shape),
    old: oldTokenTable(shape)
  }
}
