/**
 * What an upstream receives: the client's headers without everything it may not say, then ours. Strip first,
 * add last: a `Connection: x-user-id` can take away nothing of what is added (CVE-2026-33805, CVE-2022-31813).
 * The whole policy is `verdictOn`; contract section 5.
 */
import { fieldLine } from './field-lines.js'
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
  /** Flat list of the identity headers, the same one for the same session; empty for an anonymous caller. */
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

/**
 * The complete field lines for the upstream, without Host (its own authority) and without framing but Content-Length.
 * Throws INTERNAL_ERROR rather than send a value that could end its line early.
 */
export function requestFields(facts: RequestFacts): string {
  const { rawHeaders, trustedPeer, sessionCookies } = facts
  const keepAuthorization = !facts.dropAuthorization && facts.authorization === null
  let lines = ''
  let cookies = ''
  let connection = ''

  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    const value = rawHeaders[i + 1] as string
    const verdict = verdictOn(name)
    if (verdict === 'pass') lines += fieldLine(name, value)
    else if (verdict === 'drop') continue
    else if (verdict === 'connection') connection = join(connection, value, ', ')
    else if (verdict === 'cookie') cookies = join(cookies, sessionCookies?.withoutOurs(value) ?? value, '; ')
    else if (verdict === 'authorization' ? keepAuthorization : trustedPeer) lines += fieldLine(name, value)
  }

  const listed = connection === '' ? null : listedInConnection(connection)
  if (listed !== null) return requestFields({ ...facts, rawHeaders: withoutNamed(rawHeaders, listed) })
  if (cookies !== '') lines += fieldLine('cookie', cookies)
  return lines + ourFields(facts)
}

function join(before: string, more: string, separator: string): string {
  if (before === '' || more === '') return before + more
  return before + separator + more
}

/** What Connection lists, and itself. */
function withoutNamed(rawHeaders: readonly string[], listed: ReadonlySet<string>): string[] {
  const kept = [...rawHeaders]
  removeNamed(kept, new Set([...listed, 'connection']))
  return kept
}

function ourFields(facts: RequestFacts): string {
  let lines =
    fieldLine('x-forwarded-for', join(facts.forwardedFor, facts.peerAddress, ', ')) +
    fieldLine('x-forwarded-proto', facts.proto) +
    fieldLine('x-forwarded-host', facts.host) +
    fieldLine(LOOP_HEADER, facts.ourName) +
    fieldLine('x-request-id', facts.requestId) +
    fieldLine('traceparent', facts.traceparent)
  if (facts.tracestate !== null) lines += fieldLine('tracestate', facts.tracestate)
  if (facts.authorization !== null) lines += fieldLine('authorization', facts.authorization)
  lines += identityFields(facts.identity)
  if (facts.assertion !== null) lines += fieldLine('x-gateway-assertion', facts.assertion)
  return lines
}

const written = new WeakMap<readonly string[], string>()

/** Written once for a session, whose list serves many requests. */
function identityFields(identity: readonly string[]): string {
  if (identity.length === 0) return ''
  const known = written.get(identity)
  if (known !== undefined) return known
  let lines = ''
  for (let i = 0; i < identity.length; i += 2) lines += fieldLine(identity[i] as string, identity[i + 1] as string)
  // By way of bytes: one text in one place, where `lines` is a tree of its parts.
  const fields = Buffer.from(lines, 'latin1').toString('latin1')
  written.set(identity, fields)
  return fields
}
