/**
 * Better Auth's answer on its way out: what it could not know becomes a 503, what it leaves empty gets the
 * contract's body, and everything else, its own errors included, passes as it is.
 */
import type { FastifyReply } from 'fastify'
import { GatewayError } from '../errors.js'
import type { Handling } from './handling.js'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

export const RETRY_AFTER = { 'retry-after': '1' }

/** Reference page and error page bring scripts and styles; the gateway's own policy forbids both. */
const PAGE_POLICY =
  "default-src 'self'; script-src 'unsafe-inline' https://cdn.jsdelivr.net; style-src 'unsafe-inline'; " +
  "img-src * data:; font-src *; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"

export async function readAnswer(response: Response): Promise<Answer> {
  const { status, headers } = response
  return { status, headers, body: Buffer.from(await response.arrayBuffer()) }
}

/** Better Auth's words for a page that is not ours; it looks at more requests than those with a session cookie. */
const FOREIGN = /"code":"(INVALID_ORIGIN|MISSING_OR_NULL_ORIGIN|CROSS_SITE_NAVIGATION_LOGIN_BLOCKED)"/

/** Throws what the contract says instead of an answer that cannot be believed or says nothing. */
export function checkAnswer({ status, headers, body }: Answer, { outage, badValue }: Handling): void {
  if (outage !== null) {
    throw new GatewayError('AUTH_SERVICE_UNAVAILABLE', { reason: 'database', cause: outage, headers: RETRY_AFTER })
  }
  if (status === 503) {
    throw new GatewayError('AUTH_SERVICE_UNAVAILABLE', { reason: 'passwords_waiting', headers: RETRY_AFTER })
  }
  if (status >= 500 && badValue) throw new GatewayError('BAD_REQUEST', { reason: 'value_refused_by_database' })
  if (status >= 500) throw new GatewayError('INTERNAL_ERROR', { reason: `better_auth_${status}` })
  if (status === 404 && !isJson(headers)) throw new GatewayError('ROUTE_NOT_FOUND')
  if (status === 403 && FOREIGN.test(body.toString())) throw new GatewayError('ORIGIN_NOT_ALLOWED')
  if (status === 429) {
    const seconds = headers.get('retry-after') ?? headers.get('x-retry-after') ?? '1'
    throw new GatewayError('RATE_LIMITED', { reason: 'better_auth', headers: { 'retry-after': seconds } })
  }
}

/** These lead to a provider's page; every other redirect stays with the gateway and its front ends. */
const LEADS_AWAY = new Set(['/sign-in/social', '/sign-in/oauth2', '/link-social', '/oauth2/link', '/sign-out'])

/**
 * Better Auth checks a `callbackURL` as it is written and then writes it anew: `/.//evil.test` passes as a path
 * and leaves as `//evil.test`, another host (1.7.7, verify-email with a bad token). So the outcome is checked.
 */
export function checkRedirect(
  { headers }: Answer,
  endpoint: string,
  baseUrl: string,
  trusted: readonly string[]
): void {
  const location = headers.get('location')
  if (location === null || LEADS_AWAY.has(endpoint)) return
  const { origin } = URL.canParse(location, baseUrl) ? new URL(location, baseUrl) : { origin: null }
  if (origin === null || !trusted.includes(origin))
    throw new GatewayError('BAD_REQUEST', { reason: 'foreign_redirect' })
}

/** An endpoint that misses something says what in JSON; an endpoint that is not there says nothing. */
function isJson(headers: Headers): boolean {
  return headers.get('content-type')?.startsWith('application/json') === true
}

/** Header by header: `reply.send(Response)` would replace what CORS and the limiter have said already. */
export function sendAnswer({ status, headers, body }: Answer, reply: FastifyReply): FastifyReply {
  void reply.code(status)
  for (const [name, value] of headers) {
    // CORS is the gateway's; the length is that of the bytes below.
    if (name.startsWith('access-control-') || name === 'content-length') continue
    void reply.header(name, value)
  }
  if (!headers.has('cache-control')) void reply.header('cache-control', 'no-store')
  if (headers.get('content-type')?.startsWith('text/html')) void reply.header('content-security-policy', PAGE_POLICY)
  return reply.send(body.length > 0 ? body : undefined)
}
