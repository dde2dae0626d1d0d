/**
 * When use extends a session, and which sessions it never extends. The rule is Better Auth's: due once `updateAge` of
 * a full life is over, that is when expiresAt - expiresIn + updateAge <= now.
 *
 * What must stay short (without "remember me": one day; an impersonation: one hour) it marks in a cookie only, so
 * that a bearer client, which sends none, makes a week of it (1.7.7). The row tells it as well: only a refresh moves
 * the end away from the beginning, so what was born short and was never extended still is.
 */
import type { AuthShape } from '../data/auth-shape.js'
import { ident, nowAs } from '../data/sql-text.js'
import type { Session } from './session.js'

const MINUTE_MS = 60_000
/** Better Auth's fixed life of a session without "remember me". */
const NOT_REMEMBERED_MS = 24 * 60 * MINUTE_MS

export interface SlidingExpiry {
  readonly expiresInMs: number
  readonly updateAgeMs: number
}

type Life = Pick<Session, 'createdAt' | 'expiresAt' | 'impersonated'>

/**
 * `updateAge` as it is meant: with 0 every request would be a write, so a minute is the least, or a tenth of a short
 * life.
 */
export function slidingExpiry(expiresInSeconds: number, updateAgeSeconds: number): SlidingExpiry {
  const expiresInMs = expiresInSeconds * 1000
  return { expiresInMs, updateAgeMs: Math.max(updateAgeSeconds * 1000, Math.min(MINUTE_MS, expiresInMs / 10)) }
}

/** `now`: by the database's clock. */
export function isDue(session: Life, { expiresInMs, updateAgeMs }: SlidingExpiry, now: number): boolean {
  return session.expiresAt - expiresInMs + updateAgeMs <= now
}

export function staysShort({ createdAt, expiresAt, impersonated }: Life, expiresInMs: number): boolean {
  return impersonated || expiresAt - createdAt < leastLifeMs(expiresInMs)
}

/** A minute of tolerance: the two times come from two readings of a clock. */
function leastLifeMs(expiresInMs: number): number {
  return Math.min(expiresInMs - MINUTE_MS, NOT_REMEMBERED_MS + MINUTE_MS)
}

/**
 * $1: the token. Extends its session if it still is due, and says whether it did. Of any number of gateways one does:
 * the condition is judged on the row as it is locked, and a row that somebody else is just changing is left to him.
 */
export function extendSql({ schema, tables }: AuthShape, { expiresInMs, updateAgeMs }: SlidingExpiry): string {
  const { name, columns } = tables.session
  const { id, token, expiresAt, createdAt, updatedAt, impersonatedBy } = columns
  if (!id || !token || !expiresAt || !createdAt || !updatedAt) throw new TypeError(`${name} lacks a column`)
  const table = `${ident(schema)}.${ident(name)}`
  const now = nowAs(expiresAt)
  const expires = `s.${ident(expiresAt.name)}`
  return `update ${table} set ${ident(expiresAt.name)} = ${now} + ${interval(expiresInMs)},
  ${ident(updatedAt.name)} = ${nowAs(updatedAt)}
where ${ident(id.name)} = (
  select s.${ident(id.name)} from ${table} s
   where s.${ident(token.name)} = $1::text and ${expires} > ${now}
     and ${expires} <= ${now} + ${interval(expiresInMs - updateAgeMs)}
     and ${epoch(expires)} - ${epoch(`s.${ident(createdAt.name)}`)} >= ${leastLifeMs(expiresInMs) / 1000}
     ${impersonatedBy === undefined ? '' : `and s.${ident(impersonatedBy.name)} is null`}
     for no key update skip locked)`
}

/** Of a column without a zone as if it were UTC, which is what Better Auth writes. */
function epoch(time: string): string {
  return `extract(epoch from ${time})`
}

function interval(ms: number): string {
  return `interval '${Math.round(ms)} milliseconds'`
}
