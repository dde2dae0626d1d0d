/**
 * What happened below Better Auth while it handled one request. Better Auth swallows database errors in
 * many places: sign-out answers 200 over a failed delete, a session that could not be read becomes 401,
 * list-users answers with nobody. Its status alone therefore cannot be believed; the queries can.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { databaseCode } from '../data/postgres-error.js'

export interface Handling {
  /** The first query that failed through no fault of the request; null while all went well. */
  outage: unknown
  /** PostgreSQL refused a value of the request (SQLSTATE class 22): a NUL byte, a word for a uuid. */
  badValue: boolean
  /** Whose session this was or became; for the log. */
  userId: string | null
  /** Whether the session it came with was asked for. */
  asked: boolean
  /** The auth event this is, as the cause of what it revokes; null for none. */
  readonly cause: string | null
  /** The session token that Better Auth is given; null for none. */
  token: string | null
  /** Whether Better Auth has sent anything but a question to the database. */
  wrote: boolean
  /** Tokens of the sessions that Better Auth set out to delete; whether it could is not known. */
  readonly ending: Set<string>
}

const handlings = new AsyncLocalStorage<Handling>()

export function newHandling(cause: string | null = null): Handling {
  return {
    outage: null,
    badValue: false,
    userId: null,
    asked: false,
    cause,
    token: null,
    wrote: false,
    ending: new Set()
  }
}

export function runHandling<T>(handling: Handling, run: () => T): T {
  return handlings.run(handling, run)
}

/** Undefined outside a request, at start-up and in the background. */
export function currentHandling(): Handling | undefined {
  return handlings.getStore()
}

/** Errors that are not the database's change nothing: they are ours or Better Auth's to answer. */
export function noteFailure(error: unknown): void {
  const handling = handlings.getStore()
  if (handling === undefined || databaseCode(error) === null) return
  if (isBadValue(error)) handling.badValue = true
  // 23: a constraint, such as an e-mail that is taken. That is an answer, not an outage.
  else if (sqlClass(error) !== '23') handling.outage ??= error
}

/** As adapters are asked. */
export interface Question {
  readonly model: string
  readonly where?: readonly { readonly field: string; readonly value: unknown }[]
}

/** Whoever asks for the session of the request's own token is about to act for its user. */
export function noteCaller({ model, where }: Question, row: unknown): void {
  const handling = handlings.getStore()
  if (handling === undefined || model !== 'session' || handling.token === null) return
  if (where?.some(({ field, value }) => field === 'token' && value === handling.token) !== true) return
  handling.asked = true
  const { userId } = (row ?? {}) as { userId?: unknown }
  if (typeof userId === 'string') handling.userId ??= userId
}

export function isBadValue(error: unknown): boolean {
  return sqlClass(error) === '22'
}

function sqlClass(error: unknown): string | null {
  const code = databaseCode(error)
  return code !== null && /^[0-9A-Z]{5}$/.test(code) ? code.slice(0, 2) : null
}
