/**
 * The ONE query: everything the gateway knows about a session, in one statement, by the database's own clock.
 * Built from the inspected shape. Two forms of the same text: `single` for one token, `batch` for all tokens of an
 * event-loop turn. A ban does not hide the row: the answer is the same for the client, but the log says why.
 */
import type { RotationSql } from '../../schema/rotation-sql.js'
import type { CatalogColumn } from '../data/auth-catalog.js'
import type { AuthShape, AuthTable } from '../data/auth-shape.js'
import { ident, nowAs } from '../data/sql-text.js'
import { fingerprintOf } from './fingerprint.js'
import type { Rotation, Session } from './session.js'

export interface SessionQuery {
  /** $1: the token. */
  readonly single: string
  /** $1: `tokensParameter(tokens)`. Rows in any order, unknown tokens without one. */
  readonly batch: string
  /** As `batch`, for old tokens whose sessions have another one since; null: there is no such thing here. */
  readonly replaced: string | null
  /** $1: the token, or one its session had. Deletes the session, live or not. */
  readonly remove: string
}

/** In the order they are selected. */
type SessionRow = readonly [
  token: string,
  id: string,
  userId: string,
  email: string,
  emailVerified: boolean,
  role: string | null,
  banned: boolean,
  organizationId: string | null,
  organizationRole: string | null,
  impersonated: boolean,
  userAgent: string | null,
  ipAddress: string | null,
  createdMs: number,
  expiresMs: number,
  secondsLeft: number,
  rotationDue: boolean,
  /** Of a session that was found by an old token. */
  currentToken: string | null
]

export type SessionValue = SessionRow[number]

export interface StoredSession {
  /** Raw, to tell the rows of a batch apart; it goes no further. */
  readonly token: string
  readonly banned: boolean
  /** By PostgreSQL's clock when it answered: the bound of every copy's life. */
  readonly secondsLeft: number
  /** With one, nobody may keep a copy. */
  readonly rotation: Rotation | null
  readonly session: Session
}

export interface SessionQueryOptions {
  /** Null: tokens stay what they are. */
  readonly rotation?: RotationSql | null
  /** False: nobody compares them, so sessions have none. */
  readonly fingerprints?: boolean
}

export function createSessionQuery(
  shape: AuthShape,
  { rotation = null, fingerprints = true }: SessionQueryOptions = {}
): SessionQuery {
  const { user, session } = shape.tables
  const expires = column('s', session, 'expiresAt')
  const now = timeFor(session, 'expiresAt')
  const token = `s.${name(session, 'token')}`
  const facts = `s.${name(session, 'id')}::text as id,
  u.${name(user, 'id')}::text as user_id,
  u.${name(user, 'email')} as email,
  coalesce(u.${name(user, 'emailVerified')}, false) as email_verified,
  ${user.columns.role === undefined ? 'null' : `${column('u', user, 'role')}::text`} as role,
  ${bannedNow(user)} as banned,
  ${organization(shape)},
  ${session.columns.impersonatedBy === undefined ? 'false' : `${column('s', session, 'impersonatedBy')} is not null`} as impersonated,
  ${fingerprints ? textOf(session, 'userAgent') : 'null'} as user_agent,
  ${fingerprints ? textOf(session, 'ipAddress') : 'null'} as ip_address,
  ${ms(column('s', session, 'createdAt'))} as created_ms,
  ${ms(expires)} as expires_ms,
  date_part('epoch', ${expires} - ${now}) as seconds_left`
  const due = rotation === null ? 'false' : rotation.isDue
  const joined = `join ${table(shape, user)} u on u.${name(user, 'id')} = s.${name(session, 'userId')}
where ${expires} > ${now}`
  const text = `select ${token} as token,
  ${facts},
  ${due} as rotation_due,
  null as current_token
from ${table(shape, session)} s
${joined} and ${token} = `
  const replaced =
    rotation &&
    `select offered.token,
  ${facts},
  false as rotation_due,
  ${token} as current_token
from ${rotation.fromOldTokens}
${joined}`
  const orOld = rotation === null ? '' : ` or s.${name(session, 'id')} = ${rotation.sessionOf('$1::text')}`
  return {
    single: `${text}$1::text`,
    batch: `${text}any($1::text[])`,
    replaced,
    remove: `delete from ${table(shape, session)} s where ${token} = $1::text${orOld}`
  }
}

/** An array in PostgreSQL's own notation: works whether or not the client has learnt the array types. */
export function tokensParameter(tokens: readonly string[]): string {
  return `{"${tokens.map(escaped).join('","')}"}`
}

function escaped(token: string): string {
  return /["\\]/.test(token) ? token.replaceAll(/["\\]/g, '\\$&') : token
}

/** Throws a TypeError for a row of another statement. */
export function rowToSession(row: readonly SessionValue[]): StoredSession {
  if (!isSessionRow(row)) throw new TypeError(`${row.length} columns are no session`)
  const [token, id, userId, email, emailVerified, role, banned, activeOrganization, organizationRole] = row
  const [, , , , , , , , , impersonated, userAgent, ipAddress, createdAt, expiresAt, secondsLeft, due, current] = row
  return {
    token,
    banned,
    secondsLeft,
    rotation: current === null ? (due ? 'due' : null) : { token: current },
    session: {
      id,
      userId,
      email,
      emailVerified,
      roles: rolesOf(role),
      // A member that was removed leaves its organisation active in the session: without a member row there is none.
      organizationId: organizationRole === null ? null : activeOrganization,
      organizationRole,
      impersonated,
      fingerprint: fingerprintOf(userAgent, ipAddress),
      createdAt,
      expiresAt
    }
  }
}

function isSessionRow(row: readonly SessionValue[]): row is SessionRow {
  return row.length === 17
}

function rolesOf(role: string | null): string[] {
  if (role === null) return []
  return role
    .split(',')
    .map(each => each.trim())
    .filter(each => each !== '')
}

/** What a client sent, so it may be long; a database made by others may lack it. */
function textOf(session: AuthTable, field: string): string {
  return session.columns[field] === undefined ? 'null' : `left(${column('s', session, field)}::text, 512)`
}

function bannedNow(user: AuthTable): string {
  if (user.columns.banned === undefined) return 'false'
  const banned = `coalesce(${column('u', user, 'banned')}, false)`
  if (user.columns.banExpires === undefined) return banned
  const ends = column('u', user, 'banExpires')
  return `(${banned} and (${ends} is null or ${ends} > ${timeFor(user, 'banExpires')}))`
}

/** A subquery and not a join: two member rows for one organisation must not make two sessions. */
function organization(shape: AuthShape): string {
  const { session, user, member } = shape.tables
  const active = session.columns.activeOrganizationId
  const organizationId = member?.columns.organizationId
  if (member === undefined || active === undefined || organizationId === undefined) {
    return 'null as organization_id,\n  null as organization_role'
  }
  // Better Auth keeps the active organisation as text, whatever the ids are; the index on the user does the work.
  const cast = active.type === organizationId.type ? '' : '::text'
  const match = `${column('m', member, 'organizationId')}${cast} = ${column('s', session, 'activeOrganizationId')}${cast}`
  return `${column('s', session, 'activeOrganizationId')}::text as organization_id,
  (select ${column('m', member, 'role')}::text from ${table(shape, member)} m
    where ${column('m', member, 'userId')} = ${column('u', user, 'id')} and ${match} limit 1) as organization_role`
}

/**
 * Whole milliseconds, rounded down: nothing lives longer than its row. date_part is several times as fast as extract,
 * and a double: of an exact millisecond it may fall short by some 0.0002, of any other it never is so near to the next.
 */
function ms(time: string): string {
  return `floor(date_part('epoch', ${time}) * 1000 + 0.0005)`
}

/** Now, as this column writes it. */
function timeFor(table: AuthTable, field: string): string {
  return nowAs(columnOf(table, field))
}

function table({ schema }: AuthShape, { name }: AuthTable): string {
  return `${ident(schema)}.${ident(name)}`
}

function column(alias: string, table: AuthTable, field: string): string {
  return `${alias}.${name(table, field)}`
}

function name(table: AuthTable, field: string): string {
  return ident(columnOf(table, field).name)
}

function columnOf(table: AuthTable, field: string): CatalogColumn {
  const found = table.columns[field]
  if (found === undefined) throw new TypeError(`${table.name} has no column for ${field}`)
  return found
}
