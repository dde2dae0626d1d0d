/**
 * Sign-out and revoke that mean it. Better Auth answers 200 to a sign-out whose delete failed, skips a delete
 * whose look-up before it failed, and leaves rows beyond a limit. So the answer goes out only when the rows
 * that had to go are gone; and where it is a 503, they are gone for later (end-later.ts).
 */
import { GatewayError } from '../errors.js'
import type { Credential } from '../session/credential.js'
import { RETRY_AFTER } from './auth-answer.js'
import type { Ending } from './end-later.js'
import type { Handling } from './handling.js'

/** Which session rows an endpoint promises to end; `token` is the caller's own. */
export type Doomed =
  | Exclude<Ending, { readonly of: 'tokens' }>
  | { readonly of: 'any'; readonly target: string }
  | { readonly of: 'user'; readonly userId: string }

export interface SessionRows {
  /** Tokens of the live rows an endpoint is about to end. */
  readonly find: (doomed: Doomed) => Promise<readonly string[]>
  /** Whether the session of one of these is still live, under this token or a later one. */
  readonly anyLeft: (tokens: readonly string[]) => Promise<boolean>
  /** `cause`: for the log of every node. `ageMs`: younger sessions are not meant. Rejects when it cannot know. */
  readonly end: (ending: Ending, cause: string, ageMs?: number) => Promise<void>
}

/** What one request set out to end. */
export interface Revocation {
  /** Call before Better Auth. */
  readonly prepare: () => Promise<void>
  /** Call after a 2xx of Better Auth's. */
  readonly makeSure: (handling: Handling) => Promise<void>
  /** What may still live and must not, after a 503; null when nobody has asked for anything he may ask for. */
  readonly unfinished: (handling: Handling) => Ending | null
}

type Fields = Readonly<Record<string, unknown>> | null

/** `prepare` and `makeSure` throw AUTH_SERVICE_UNAVAILABLE: the caller keeps its cookie and may ask again. */
export function revocationOf(endpoint: string, credential: Credential, fields: Fields, rows: SessionRows): Revocation {
  const token = credential.kind === 'token' ? credential.token : null
  const signedOut: Ending | null = endpoint === '/sign-out' && token !== null ? { of: 'tokens', tokens: [token] } : null
  const doomed = doomedBy(endpoint, token, fields)
  let found: readonly string[] = []
  let granted: readonly string[] = []

  return {
    async prepare() {
      if (doomed !== null) found = await rows.find(doomed).catch(unavailable)
    },
    async makeSure(handling) {
      if (signedOut !== null) await rows.end(signedOut, 'sign_out').catch(unavailable)
      granted = [...found, ...handling.ending, ...(signedOut?.tokens ?? [])]
      if (granted.length > 0) await endForCertain(granted, handling.cause ?? 'revoke', rows)
      // Whatever failed on the way, what the client asked for is done.
      if (signedOut !== null) handling.outage = null
    },
    unfinished({ ending }) {
      if (signedOut !== null) return signedOut
      if (doomed !== null && 'token' in doomed) return doomed
      // Of an administrator only Better Auth knows whether he may: it has said yes, or has begun.
      const tokens = new Set([...granted, ...ending])
      // These only trade one session for another, and the client still has the old one.
      if (tokens.size === 0 || endpoint.startsWith('/two-factor/')) return null
      return { of: 'tokens', tokens: [...tokens] }
    }
  }
}

/** A look-up that failed may have skipped one of them, and one may have another token by now (R42). */
async function endForCertain(tokens: readonly string[], cause: string, rows: SessionRows): Promise<void> {
  for (let attempt = 0; attempt < 2; attempt++) {
    if (!(await rows.anyLeft(tokens).catch(unavailable))) return
    await rows.end({ of: 'tokens', tokens }, cause).catch(unavailable)
  }
  if (await rows.anyLeft(tokens).catch(unavailable)) unavailable(null)
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
