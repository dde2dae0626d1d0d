/**
 * The ONE query: everything the gateway knows about a session, in one statement, by the database's own clock.
 * Built from the inspected shape. Two forms of the same text: `single` for one token, `batch` for all tokens of an
 * event-loop turn. A ban does not hide the row: the answer is the same for the client, but the log says why.
 */
import type { RotationSql } from '../../schema/rotation-sql.js'
import type { CatalogColumn } from '../data/auth-catalog.js'
import type { AuthShape, AuthTable } from '../data/auth-shape.js'
import { ident, nowAs } from '../data/sql-text.js'

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
  const known = [
    `s.${name(session, 'id')}::text`,
    `u.${name(user, 'id')}::text`,
    `u.${name(user, 'email')}::text`,
    `coalesce(u.${name(user, 'emailVerified')}, false)`,
    user.columns.role === undefined ? 'null' : `${column('u', user, 'role')}::text`,
    bannedNow(user),
    ...organization(shape),
    session.columns.impersonatedBy === undefined ? 'false' : `${column('s', session, 'impersonatedBy')} is not null`,
    fingerprints ? textOf(session, 'userAgent') : 'null',
    fingerprints ? textOf(session, 'ipAddress') : 'null',
    ms(column('s', session, 'createdAt')),
    ms(expires)
  ]
  const row = (offered: string, due: string, current: string) => `select ${offered},
json_build_array(
  ${[...known, due, current].join(',\n  ')}
)::text as facts,
date_part('epoch', ${expires}) - date_part('epoch', ${now}) as seconds_left`
  const joined = `join ${table(shape, user)} u on u.${name(user, 'id')} = s.${name(session, 'userId')}
where ${expires} > ${now}`
  const text = `${row(token, rotation === null ? 'false' : rotation.isDue, 'null')}
from ${table(shape, session)} s
${joined} and ${token} = `
  const replaced =
    rotation &&
    `${row('offered.token', 'false', token)}
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
function organization(shape: AuthShape): [id: string, role: string] {
  const { session, user, member } = shape.tables
  const active = session.columns.activeOrganizationId
  const organizationId = member?.columns.organizationId
  if (member === undefined || active === undefined || organizationId === undefined) {
    return ['null', 'null']
  }
  // Better Auth keeps the active organisation as text, whatever the ids are; the index on the user does the work.
  const cast = active.type === organizationId.type ? '' : '::text'
  const match = `${column('m', member, 'organizationId')}${cast} = ${column('s', session, 'activeOrganizationId')}${cast}`
  return [
    `${column('s', session, 'activeOrganizationId')}::text`,
    `(select ${column('m', member, 'role')}::text from ${table(shape, member)} m
    where ${column('m', member, 'userId')} = ${column('u', user, 'id')} and ${match} limit 1)`
  ]
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
