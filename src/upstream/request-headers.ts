/**
 * What an upstream receives: the client's headers without everything it may not say, then ours. Strip first,
 * add last: a `Connection: x-user-id` can take away nothing of what is added (CVE-2026-33805, CVE-2022-31813).
 * The whole policy is `verdictOn`; contract section 5.
 */
import { HOP_BY_HOP, isReserved, listedInConnection, normalised, remembered, removeNamed } from './header-names.js'
import { LOOP_HEADER } from './request-loop.js'
import type { SessionCookies } from './session-cookies.js'

export interface RequestFacts {
  /** Names and values as they came, flat. */
  readonly rawHeaders: readonly string[]
  /** The peer's X-Forwarded-* and Forwarded are believed and handed on. */
  readonly trustedPeer: boolean
  /** The other end of the socket. */
  readonly peerAddress: string
  /** The addresses a trusted peer names before its own; empty: none. */
  readonly forwardedFor: string
  /** How the client reached us; a trusted proxy's word where there is one. */
  readonly host: string
  readonly proto: 'http' | 'https'
  /** What the gateway is called on the way of a request. */
  readonly ourName: string
  readonly requestId: string
  readonly traceparent: string
  /** Null when the trace starts here. */
  readonly tracestate: string | null
  /** Cut out of Cookie; null on a route that leads to Better Auth itself. */
  readonly sessionCookies: SessionCookies | null
  /** True when Authorization was the credential: it is for us, not for the upstream. */
  readonly dropAuthorization: boolean
  /** `Bearer <internal key>`, in place of whatever the client sent; null: none. */
  readonly authorization: string | null
  /** Flat list of the identity headers; empty for an anonymous caller. */
  readonly identity: readonly string[]
  /** X-Gateway-Assertion; null: none. */
  readonly assertion: string | null
}

type Verdict = 'pass' | 'drop' | 'if-trusted' | 'cookie' | 'authorization' | 'connection'

/** Made here, or taken from the argument, for every request. */
const OURS = [
  'host',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-request-id',
  'traceparent',
  'tracestate'
]

/** Each of these has once made a server judge another request than the one it served, or run as another user. */
const NEVER = new Set([
  ...OURS,
  ...HOP_BY_HOP,
  // The gateway answers it.
  'expect',
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'x-original-url',
  'x-original-uri',
  'x-original-method',
  'x-original-host',
  'x-rewrite-url',
  // HTTP_PROXY in a CGI environment: CVE-2016-5385.
  'proxy',
  // What other gateways call the signed-in user; even a trusted proxy may have passed a client's on.
  'x-forwarded-user',
  'x-forwarded-email',
  'x-forwarded-groups',
  'x-forwarded-preferred-username',
  'x-forwarded-access-token'
])

/** Statements about the client that only a trusted proxy can make. */
const IF_TRUSTED = new Set(['forwarded', 'x-real-ip', 'x-client-ip', 'x-cluster-client-ip', 'true-client-ip'])

const verdictOn = remembered<Verdict>(written => {
  const name = normalised(written)
  const verdict = judge(name)
  // Another spelling of a name with a meaning, `Content_Length`, `X_Forwarded_For`, has that meaning to some servers
  // only.
  const plain = name === written.toLowerCase() || (verdict === 'pass' && name !== 'content-length')
  return plain ? verdict : 'drop'
})

function judge(name: string): Verdict {
  if (name === 'connection') return 'connection'
  if (NEVER.has(name) || isReserved(name) || name.startsWith('x-envoy-')) return 'drop'
  if (name === 'cookie') return 'cookie'
  if (name === 'authorization') return 'authorization'
  return IF_TRUSTED.has(name) || name.startsWith('x-forwarded-') ? 'if-trusted' : 'pass'
}

/** The complete flat list for the upstream, without Host (its own authority) and without framing but Content-Length. */
export function requestHeaders(facts: RequestFacts): string[] {
  const { rawHeaders, trustedPeer, sessionCookies } = facts
  const keepAuthorization = !facts.dropAuthorization && facts.authorization === null
  const headers: string[] = []
  let cookies = ''
  let connection = ''

  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    const value = rawHeaders[i + 1] as string
    const verdict = verdictOn(name)
    if (verdict === 'pass') headers.push(name, value)
    else if (verdict === 'drop') continue
    else if (verdict === 'connection') connection = join(connection, value, ', ')
    else if (verdict === 'cookie') cookies = join(cookies, sessionCookies?.withoutOurs(value) ?? value, '; ')
    else if (verdict === 'authorization' ? keepAuthorization : trustedPeer) headers.push(name, value)
  }

  const listed = connection === '' ? null : listedInConnection(connection)
  if (listed !== null) removeNamed(headers, listed)
  if (cookies !== '') headers.push('cookie', cookies)
  addOurs(headers, facts)
  return headers
}

function join(before: string, more: string, separator: string): string {
  if (before === '' || more === '') return before + more
  return before + separator + more
}

function addOurs(headers: string[], facts: RequestFacts): void {
  headers.push(
    'x-forwarded-for',
    join(facts.forwardedFor, facts.peerAddress, ', '),
    'x-forwarded-proto',
    facts.proto,
    'x-forwarded-host',
    facts.host,
    LOOP_HEADER,
    facts.ourName,
    'x-request-id',
    facts.requestId,
    'traceparent',
    facts.traceparent
  )
  if (facts.tracestate !== null) headers.push('tracestate', facts.tracestate)
  if (facts.authorization !== null) headers.push('authorization', facts.authorization)
  for (const part of facts.identity) headers.push(part)
  if (facts.assertion !== null) headers.push('x-gateway-assertion', facts.assertion)
}
