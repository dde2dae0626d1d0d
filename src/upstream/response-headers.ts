/**
 * What a client receives of an upstream's headers, and what the gateway adds to them. Values pass as the
 * bytes they were: latin1 in, latin1 out.
 */
import { HOP_BY_HOP, isReserved, listedInConnection, normalised, remembered, removeNamed } from './header-names.js'
import { type LocationScope, publicLocation } from './location.js'
import type { SessionCookies } from './session-cookies.js'

export interface AnswerPolicy extends LocationScope {
  /** Flat list the gateway adds: X-Request-ID, CORS. */
  readonly added: readonly string[]
  /** The answer may be about one user: without a word from the upstream, no shared cache may keep it. */
  readonly authenticated: boolean
  /** `added` holds a cookie or a token: no cache may keep it, whatever the upstream says (RFC 9111 section 7.3). */
  readonly carriesCredential: boolean
  /** The gateway answers for CORS here, so the upstream's own Access-Control-* would contradict it. */
  readonly ownsCors: boolean
  /** Whose Set-Cookie is dropped; null on a route that leads to Better Auth itself. */
  readonly sessionCookies: SessionCookies | null
}

export interface AnswerHead {
  readonly headers: string[]
  /** Bytes announced by the upstream; -1 when it announced none. */
  readonly contentLength: number
}

type Verdict = 'pass' | 'drop' | 'cors' | 'for-caches' | (typeof READ)[number]

/** Names whose value matters. */
const READ = ['connection', 'set-cookie', 'content-length', 'cache-control', 'location'] as const
/** Ours, or nobody's business: product names and versions help attackers only (OWASP ASVS 13.4.6). */
const NEVER = new Set([...HOP_BY_HOP, 'x-request-id', 'server', 'x-powered-by', 'x-aspnet-version'])

const verdictOn = remembered<Verdict>(written => {
  const name = normalised(written)
  const read = READ.find(known => known === name)
  if (read !== undefined) return name === written.toLowerCase() ? read : 'drop'
  if (NEVER.has(name) || isReserved(name)) return 'drop'
  if (name === 'surrogate-control' || name.endsWith('cdn-cache-control')) return 'for-caches'
  return name.startsWith('access-control-') ? 'cors' : 'pass'
})

const NO_CONTENT = 204
const RESET_CONTENT = 205
const NOT_MODIFIED = 304
/** Better Auth reads the session from either (ASVS 14.3.2, 14.2.5). */
const CREDENTIALS = 'Cookie, Authorization'

/** `rawHeaders`: flat, as they came. */
export function answerHead(status: number, rawHeaders: readonly string[], policy: AnswerPolicy): AnswerHead {
  const headers: string[] = []
  let contentLength = -1
  let cacheable = policy.authenticated
  let connection = ''

  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    const verdict = verdictOn(name)
    if (verdict === 'drop') continue
    const value = rawHeaders[i + 1] as string
    if (verdict === 'connection') connection = connection === '' ? value : `${connection}, ${value}`
    else if (verdict === 'content-length') {
      contentLength = Number(value)
      if (allowsLength(status)) headers.push(name, value)
    } else if (verdict === 'location') headers.push(name, publicLocation(value, policy))
    else {
      if (verdict === 'cache-control') cacheable = false
      if (passes(verdict, value, policy)) headers.push(name, value)
    }
  }

  const listed = connection === '' ? null : listedInConnection(connection)
  if (listed !== null) removeNamed(headers, listed)
  if (policy.carriesCredential) headers.push('cache-control', 'no-store')
  else if (cacheable) headers.push('cache-control', 'private', 'vary', CREDENTIALS)
  if (status === RESET_CONTENT) headers.push('content-length', '0')
  for (const part of policy.added) headers.push(part)
  return { headers, contentLength }
}

function passes(verdict: Verdict, value: string, policy: AnswerPolicy): boolean {
  const { ownsCors, sessionCookies, carriesCredential } = policy
  if (verdict === 'cors') return !ownsCors
  if (verdict === 'cache-control' || verdict === 'for-caches') return !carriesCredential
  if (verdict === 'set-cookie') return sessionCookies === null || !sessionCookies.isSetBy(value)
  return true
}

/** RFC 9110 sections 8.6 and 15.3.6: none on 204; 205 has no content, whatever was announced. */
function allowsLength(status: number): boolean {
  return status !== NO_CONTENT && status !== RESET_CONTENT
}

/** RFC 9110 section 6.4.1. A 205 has an empty body; whatever came with it is dropped. */
export function hasNoContent(method: string | undefined, status: number): boolean {
  return method === 'HEAD' || status === NO_CONTENT || status === RESET_CONTENT || status === NOT_MODIFIED
}
