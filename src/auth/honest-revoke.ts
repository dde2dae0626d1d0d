/**
 * Sign-out and revoke that mean it. Better Auth answers 200 to a sign-out whose delete failed, skips a delete
 * whose look-up before it failed, and leaves rows beyond a limit. So the answer goes out only when the rows
 * that had to go are gone.
 */
import { GatewayError } from '../errors.js'
import type { Credential } from '../session/credential.js'
import { RETRY_AFTER } from './auth-answer.js'
import type { Handling } from './handling.js'

/** Which session rows an endpoint promises to end; `token` is the caller's own. */
export type Doomed =
  | { readonly of: 'one'; readonly token: string; readonly target: string }
  | { readonly of: 'all'; readonly token: string }
  | { readonly of: 'others'; readonly token: string }
  | { readonly of: 'any'; readonly target: string }
  | { readonly of: 'user'; readonly userId: string }

export interface SessionRows {
  /** Deletes the row with this token. Rejects when it cannot know. */
  readonly end: (token: string) => Promise<unknown>
  /** Tokens of the live rows an endpoint is about to end. */
  readonly find: (doomed: Doomed) => Promise<readonly string[]>
  /** Whether one of these is still live. */
  readonly anyLeft: (tokens: readonly string[]) => Promise<boolean>
}

type Fields = Readonly<Record<string, unknown>> | null

/**
 * Call before Better Auth; what it returns, call after a 2xx of Better Auth's. That throws
 * AUTH_SERVICE_UNAVAILABLE when a row may still be there: the caller keeps its cookie and tries again.
 */
export async function promiseGone(
  endpoint: string,
  credential: Credential,
  fields: Fields,
  rows: SessionRows
): Promise<(handling: Handling) => Promise<void>> {
  const token = credential.kind === 'token' ? credential.token : null
  if (endpoint === '/sign-out') return token === null ? nothing : handling => endForCertain(token, rows, handling)

  const doomed = doomedBy(endpoint, token, fields)
  if (doomed === null) return nothing
  const tokens = await rows.find(doomed).catch(unavailable)
  return () => refuseIfLeft(tokens, rows)
}

async function nothing(): Promise<void> {}

async function endForCertain(token: string, rows: SessionRows, handling: Handling): Promise<void> {
  await rows.end(token).catch(unavailable)
  await refuseIfLeft([token], rows)
  // Whatever failed on the way, what the client asked for is done.
  handling.outage = null
}

async function refuseIfLeft(tokens: readonly string[], rows: SessionRows): Promise<void> {
  if (tokens.length > 0 && (await rows.anyLeft(tokens).catch(unavailable))) unavailable(null)
}

function doomedBy(endpoint: string, token: string | null, fields: Fields): Doomed | null {
  if (token === null) return null
  if (endpoint === '/revoke-sessions') return { of: 'all', token }
  if (endpoint === '/revoke-other-sessions') return { of: 'others', token }
  if (endpoint === '/revoke-session') return oneOf(token, fields?.token)
  if (endpoint === '/admin/revoke-user-session') return anyOf(fields?.sessionToken)
  if (endpoint === '/admin/revoke-user-sessions' || endpoint === '/admin/ban-user') return userOf(fields?.userId)
  return null
}

function oneOf(token: string, target: unknown): Doomed | null {
  return typeof target === 'string' ? { of: 'one', token, target } : null
}

function anyOf(target: unknown): Doomed | null {
  return typeof target === 'string' ? { of: 'any', target } : null
}

function userOf(userId: unknown): Doomed | null {
  return typeof userId === 'string' ? { of: 'user', userId } : null
}

function unavailable(cause: unknown): never {
  if (cause instanceof GatewayError) throw cause
  throw new GatewayError('AUTH_SERVICE_UNAVAILABLE', { reason: 'revocation_unproven', cause, headers: RETRY_AFTER })
}
