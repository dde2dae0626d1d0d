/**
 * Better Auth finds a session by its token of now. Here a request that comes with an older one, or under an older
 * secret, gets that one, and its answer brings the client up to date. A request that ends a session means the session,
 * whichever of its tokens it names, and however long ago that was one.
 */
import type { FastifyRequest } from 'fastify'
import type { Credential } from '../session/credential.js'
import type { Lookup } from '../session/session.js'
import { NO_HEADERS, type SessionRenewal } from '../session/session-renewal.js'
import type { TokenRotation } from '../session/token-rotation.js'
import type { Answer } from './auth-answer.js'

export interface Renewing {
  readonly renewal: SessionRenewal
  /** Null: tokens stay what they are. */
  readonly rotation: TokenRotation | null
  /** Asks PostgreSQL, whatever the caches know. Rejects while that cannot be known. */
  readonly lookUp: (token: string) => Promise<Lookup>
}

type Offered = Extract<Credential, { kind: 'token' }>

/** The field of the body that names a session by its token. */
const NAMES_A_TOKEN: Readonly<Record<string, string>> = {
  '/revoke-session': 'token',
  '/admin/revoke-user-session': 'sessionToken'
}

/**
 * Writes `exchange.answerHeaders`. Where PostgreSQL does not answer here it will not answer Better Auth either, and
 * what that means for the request is decided there. Only a sign-out is not sent on: it rejects with
 * AUTH_SERVICE_UNAVAILABLE, as it would after Better Auth had waited for five seconds, because it is made sure of by
 * the pool that was asked here.
 */
export async function currentCredential(
  request: FastifyRequest,
  offered: Credential,
  renewing: Renewing | null
): Promise<Credential> {
  if (renewing === null || offered.kind !== 'token') return offered
  const { rotation } = renewing
  if (rotation === null && !(offered.secretIndex !== null && offered.secretIndex > 0)) return offered
  if (request.authTarget.endpoint === '/sign-out') {
    const successor = rotation === null ? null : await rotation.successorOf(offered.token)
    return successor === null ? offered : { ...offered, token: successor }
  }
  await nameCurrent(request, rotation)
  return broughtUpToDate(request, offered, renewing)
}

async function broughtUpToDate(
  { exchange, headers }: FastifyRequest,
  offered: Offered,
  { renewal, rotation, lookUp }: Renewing
): Promise<Credential> {
  const lookup = await lookUp(offered.token).catch(() => null)
  if (lookup === null || lookup.session === null) return offered
  const due = rotation === null ? null : (lookup.rotation ?? null)
  const token = due === null ? null : await (rotation?.tokenFor(offered.token, due) ?? null)
  exchange.answerHeaders = renewal.headersFor(lookup.session, offered, headers.cookie, token)
  return token === null ? offered : { ...offered, token }
}

async function nameCurrent(request: FastifyRequest, rotation: TokenRotation | null): Promise<void> {
  const field = NAMES_A_TOKEN[request.authTarget.endpoint]
  const named = field === undefined ? undefined : request.authFields?.[field]
  if (rotation === null || field === undefined || typeof named !== 'string') return
  const successor = await successorOf(named, rotation)
  if (successor === null) return
  request.authFields = { ...request.authFields, [field]: successor }
  request.body = Buffer.from(JSON.stringify(request.authFields))
}

function successorOf(token: string, rotation: TokenRotation): Promise<string | null> {
  return rotation.successorOf(token).catch(() => null)
}

/** Where Better Auth sets or clears the session cookie itself, that is the last word. */
export function dropWhereSet({ exchange }: FastifyRequest, { headers }: Answer, cookieName: string): void {
  if (headers.getSetCookie().some(line => line.startsWith(`${cookieName}=`))) exchange.answerHeaders = NO_HEADERS
}
