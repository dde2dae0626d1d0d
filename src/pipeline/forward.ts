/**
 * Pipeline stage, the last: hand the request and the caller's identity to the upstream, and its answer to
 * the client. It answers inside its hook, so a body goes from socket to socket without meeting a parser.
 *
 *   reads   every fact of the exchange
 *   writes  exchange.upstreamMs
 *   throws  the errors of `relay`, as long as nothing has been sent to the client; UPSTREAM_UNREACHABLE 502 for a loop
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AUTH_MOUNT } from '../config/own-paths.js'
import { awaitsContinue, isHost } from '../edge/header-section.js'
import { newParentId, readTraceparent, traceIdOf } from '../edge/trace-context.js'
import type { AssertionIssuer } from '../identity/assertion.js'
import { GatewayError } from '../errors.js'
import { identityHeaders } from '../identity/identity-headers.js'
import { isAtOrBelow } from '../routes/route-rules.js'
import type { Route } from '../routes/route-table.js'
import type { Credential, CredentialReader } from '../session/credential.js'
import { relay } from '../upstream/relay.js'
import type { RelayOutcome } from '../upstream/relay-request.js'
import { requestFields } from '../upstream/request-headers.js'
import { goesInCircles, LOOP_HEADER } from '../upstream/request-loop.js'
import type { AnswerPolicy } from '../upstream/response-headers.js'
import type { SessionCookies } from '../upstream/session-cookies.js'
import type { Upstream } from '../upstream/upstream-pool.js'
import { type KeepLiveOptions, keepLive } from './keep-live.js'
import { matchedRoute } from './match-route.js'
import { switcherOf } from './upgrade.js'

export interface ForwardOptions extends KeepLiveOptions {
  /** The upstreams in force; SIGHUP puts others in their place. */
  readonly upstreamOf: (route: Route) => Upstream
  readonly readCredential: CredentialReader
  readonly sessionCookies: SessionCookies
  readonly assertions: AssertionIssuer
  /** How clients reach us when no trusted proxy says otherwise. */
  readonly publicProto: 'http' | 'https'
  /** Authority of the base URL, lower case: the same on every node. */
  readonly ourName: string
  /** The gateway has a list of origins, so it answers for CORS and upstreams do not. */
  readonly ownsCors: boolean
  readonly isDraining: () => boolean
}

const ANONYMOUS: readonly string[] = []
/** Of an Authorization line. A signature is checked for each that could have one. */
const MOST_WORDS = 16

const forwardPlugin: FastifyPluginAsync<ForwardOptions> = async (scope, options) => {
  scope.addHook('onRequest', function forward(request, reply, done) {
    const { exchange, raw } = request
    const route = matchedRoute(exchange)
    const upstream = options.upstreamOf(route)
    const { session } = exchange
    if (goesInCircles(raw.headers[LOOP_HEADER] as string | undefined, options.ourName)) {
      throw new GatewayError('UPSTREAM_UNREACHABLE', { reason: 'loop' })
    }
    // Attached mode: Better Auth itself is behind a route of this path, and the session is its own.
    const sessionCookies = isAtOrBelow(route.path, AUTH_MOUNT) ? null : options.sessionCookies
    const policy: AnswerPolicy = {
      added: addedTo(reply, request, options),
      authenticated: session !== null,
      carriesCredential: exchange.answerHeaders.length > 0,
      ownsCors: options.ownsCors,
      sessionCookies,
      ownAuthorities: upstream.authorities,
      stripPrefix: route.stripPrefix,
      routePath: route.path
    }

    relay(
      {
        request: raw,
        response: reply.raw,
        upstream,
        path: pathFor(route, exchange.path) + exchange.search,
        fields: fieldsFor(request, upstream, sessionCookies, options),
        policy,
        awaitsContinue: awaitsContinue(raw),
        onStream: headers => keepStream(request, reply, headers, options),
        onSwitch: switcherOf(request, reply, upstream, policy, options)
      },
      ({ end, error, upstreamMs }: RelayOutcome) => {
        exchange.upstreamMs = upstreamMs
        options.metrics.upstreams.done(upstream.name, upstreamMs, error?.code ?? null)
        if (error !== null) exchange.reason = error.reason ?? error.code.toLowerCase()
        if (end === 'failed' && error !== null) done(error)
      }
    )
  })
}

/** An event stream has no end of its own, so it would hold up a drain; a download is let finish. */
function keepStream(
  request: FastifyRequest,
  reply: FastifyReply,
  headers: readonly string[],
  options: KeepLiveOptions
): () => void {
  const type = headers.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-type')
  const endsAtDrain = type >= 0 && headers[type + 1]?.toLowerCase().startsWith('text/event-stream') === true
  // Cut, not ended: half an answer must not look whole.
  return keepLive(request, { kind: 'stream', endsAtDrain, end: () => reply.raw.destroy() }, options)
}

/** What was decided on is what is sent, less the prefix the route asked to cut. */
function pathFor({ stripPrefix }: Route, path: string): string {
  if (stripPrefix === null) return path
  return path.length === stripPrefix.length ? '/' : path.slice(stripPrefix.length)
}

function fieldsFor(
  { raw, exchange }: FastifyRequest,
  upstream: Upstream,
  sessionCookies: SessionCookies | null,
  options: ForwardOptions
): string {
  const { session, credential, trustedPeer, requestId } = exchange
  const { headers } = raw
  const trace = trustedPeer ? readTraceparent(headers.traceparent as string | undefined) : null
  return requestFields({
    rawHeaders: raw.rawHeaders,
    trustedPeer,
    peerAddress: exchange.peerAddress,
    forwardedFor: exchange.forwardedFor,
    // A trusted proxy may hand on what a client made up; such a host matches no route of a host either.
    host: isHost(exchange.host) ? exchange.host : (headers.host ?? ''),
    proto: trustedPeer ? protoOf(headers['x-forwarded-proto'], options.publicProto) : options.publicProto,
    ourName: options.ourName,
    requestId,
    traceparent: `00-${trace?.traceId ?? traceIdOf(requestId, trustedPeer)}-${newParentId()}-${trace?.flags ?? '01'}`,
    tracestate: trace === null ? null : ((headers.tracestate as string | undefined) ?? null),
    sessionCookies,
    dropAuthorization: sessionCookies !== null && carriesOurToken(raw, credential, options.readCredential),
    authorization: upstream.authorization,
    identity: session === null ? ANONYMOUS : identityHeaders(session),
    assertion:
      session === null || upstream.audience === null
        ? null
        : options.assertions.assertionFor(session, upstream.audience)
  })
}

/**
 * Asked on public routes too, and beside a cookie: whatever decided, a session token in Authorization is a
 * login, and none of the upstream's business. Other bearer tokens are, and pass.
 */
function carriesOurToken(request: IncomingMessage, credential: Credential, read: CredentialReader): boolean {
  const { headers, rawHeaders } = request
  if (headers.authorization === undefined) return false
  if (credential.kind === 'token' && credential.source === 'bearer') return true
  // Line by line: of several, Node's own list shows the first. And word by word: written `Bearer  x` or bare it signs
  // nobody in, and is a session token all the same.
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() !== 'authorization') continue
    for (const word of (rawHeaders[i + 1] ?? '').split(/[\s,;"]+/, MOST_WORDS)) {
      const offered = read({ headers: { authorization: `Bearer ${word}` }, rawHeaders: [] })
      if (offered.kind === 'token' && offered.secretIndex !== null) return true
    }
  }
  return false
}

function protoOf(forwarded: string | string[] | undefined, otherwise: 'http' | 'https'): 'http' | 'https' {
  return forwarded === 'https' || forwarded === 'http' ? forwarded : otherwise
}

/**
 * What the gateway adds to the upstream's answer: the request id, what the stages have set on the reply, and, for
 * caches, that with another Origin the answer would be another one.
 */
function addedTo(reply: FastifyReply, request: FastifyRequest, { isDraining, ownsCors }: ForwardOptions): string[] {
  const { exchange, headers } = request
  const added = ['x-request-id', exchange.requestId, ...exchange.answerHeaders]
  if (headers.origin === undefined && ownsCors) added.push('vary', 'Origin')
  if (headers.origin !== undefined || exchange.route?.rateLimit != null) {
    const set = reply.getHeaders()
    for (const name in set) added.push(name, String(set[name]))
  }
  if (isDraining()) added.push('connection', 'close')
  return added
}

export const forward = fp(forwardPlugin, { name: 'forward', fastify: '5.x', dependencies: ['upgrade'] })
