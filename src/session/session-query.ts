/**
 * The ONE query: everything the gateway knows about a session, in one statement, by the database's own clock.
 * Built from the inspected shape. Two forms of the same text: `single` for one token, `batch` for all tokens of an
 * event-loop turn. A ban does not hide the row: the answer is the same for the client, but the log says why.
 */
import type { RotationSql } from '../../schema/rotation-sql.js'
import type { AuthShape, AuthTable } from '../data/auth-shape.js'
import { ident } from '../data/sql-text.js'
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

export interface SessionRow {
  readonly token: string
  readonly id: string
  readonly user_id: string
  readonly email: string
  readonly email_verified: boolean
  readonly role: string | null
  readonly banned: boolean
  readonly organization_id: string | null
  readonly organization_role: string | null
  readonly impersonated: boolean
  readonly user_agent: string | null
  readonly ip_address: string | null
  readonly created_ms: number
  readonly expires_ms: number
  readonly seconds_left: number
  readonly rotation_due?: boolean
  /** Of a session that was found by an old token. */
  readonly current_token?: string
}

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

/** `rotation` null: tokens stay what they are. */
export function createSessionQuery(shape: AuthShape, rotation: RotationSql | null = null): SessionQuery {
  const { user, session } = shape.tables
  const expires = column('s', session, 'expiresAt')
  const now = clockOf(session, 'expiresAt')
  const token = `s.${name(session, 'token')}`
  const facts = `  s.${name(session, 'id')}::text as id,
  u.${name(user, 'id')}::text as user_id,
  u.${name(user, 'email')} as email,
  coalesce(u.${name(user, 'emailVerified')}, false) as email_verified,
  ${user.columns.role === undefined ? 'null' : `${column('u', user, 'role')}::text`} as role,
  ${bannedNow(user)} as banned,
  ${organization(shape)},
  ${session.columns.impersonatedBy === undefined ? 'false' : `${column('s', session, 'impersonatedBy')} is not null`} as impersonated,
  ${textOf(session, 'userAgent')} as user_agent,
  ${textOf(session, 'ipAddress')} as ip_address,
  ${ms(column('s', session, 'createdAt'))} as created_ms,
  ${ms(expires)} as expires_ms,
  extract(epoch from ${expires} - ${now})::float8 as seconds_left`
  const joined = `join ${table(shape, user)} u on u.${name(user, 'id')} = s.${name(session, 'userId')}
where ${expires} > ${now}`
  const due = rotation === null ? '' : `,\n  ${rotation.isDue} as rotation_due`
  const text = `select ${token} as token,\n${facts}${due}\nfrom ${table(shape, session)} s\n${joined} and ${token} = `
  return {
    single: `${text}$1::text`,
    batch: `${text}any($1::text[])`,
    replaced:
      rotation === null
        ? null
        : `select offered.token, ${token} as current_token,\n${facts}\nfrom ${rotation.fromOldTokens}\n${joined}`,
    remove: `delete from ${table(shape, session)} s where ${token} = $1::text${
      rotation === null ? '' : ` or s.${name(session, 'id')} = ${rotation.sessionOf('$1::text')}`
    }`
  }
}

/** An array in PostgreSQL's own notation: works whether or not the client has learnt the array types. */
export function tokensParameter(tokens: readonly string[]): string {
  return `{${tokens.map(token => `"${token.replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`
}

export function rowToSession(row: SessionRow): StoredSession {
  // A member that was removed leaves its organisation active in the session: without a member row there is none.
  const organizationId = row.organization_role === null ? null : row.organization_id
  return {
    token: row.token,
    banned: row.banned,
    secondsLeft: row.seconds_left,
    rotation: row.current_token === undefined ? (row.rotation_due ? 'due' : null) : { token: row.current_token },
    session: {
      id: row.id,
      userId: row.user_id,
      email: row.email,
      emailVerified: row.email_verified,
      roles: rolesOf(row.role),
      organizationId,
      organizationRole: row.organization_role,
      impersonated: row.impersonated,
      fingerprint: fingerprintOf(row.user_agent, row.ip_address),
      createdAt: row.created_ms,
      expiresAt: row.expires_ms
    }
  }
}

function rolesOf(role: string | null): string[] {
  if (role === null) return []
  return role
    .split(',')
    .map(each => each.trim())
    .filter(each => each !== '')
}

/** A column without a zone holds UTC wall time; comparing it with now() would depend on the connection's TimeZone. */
function clockOf(table: AuthTable, field: string): string {
  return table.columns[field]?.type === 'timestamp with time zone' ? 'now()' : "(now() at time zone 'utc')"
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
  return `(${banned} and (${ends} is null or ${ends} > ${clockOf(user, 'banExpires')}))`
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

/** Whole milliseconds, rounded down: nothing lives longer than its row. */
function ms(time: string): string {
  return `floor(extract(epoch from ${time}) * 1000)::float8`
}

function table({ schema }: AuthShape, { name }: AuthTable): string {
  return `${ident(schema)}.${ident(name)}`
}

function column(alias: string, table: AuthTable, field: string): string {
  return `${alias}.${name(table, field)}`
}

function name(table: AuthTable, field: string): string {
  const found = table.columns[field]
  if (found === undefined) throw new TypeError(`${table.name} has no column for ${field}`)
  return ident(found.name)
}
