/**
 * The forward-auth door, `/.gateway/verify`: nginx, Caddy, Traefik or Envoy asks here whether a request may pass, and
 * forwards it itself. The same stages decide as for a request of our own; in place of `forward` stands an answer:
 * 200 with the identity headers, or a refusal.
 *
 * The internal key of the upstream is not among them: it would reach whoever reaches this door through the proxy.
 */
import type { FastifyPluginAsync } from 'fastify'
import { sendRefusal, toGatewayError } from '../edge/error-reply.js'
import type { Exchange } from '../edge/exchange.js'
import { GatewayError } from '../errors.js'
import type { AssertionIssuer } from '../identity/assertion.js'
import { identityHeaders } from '../identity/identity-headers.js'
import type { Route } from '../routes/route-table.js'
import type { Session } from '../session/session.js'
import type { Upstream } from '../upstream/upstream-pool.js'
import { PROXIED, takeAll } from './fallthrough.js'
import { type DecisionOptions, decide } from './gateway.js'
import { matchedRoute } from './match-route.js'
import { DOOR, readForwarded } from './read-forwarded.js'

export interface VerifyOptions extends DecisionOptions {
  readonly upstreamOf: (route: Route) => Upstream
  readonly assertions: AssertionIssuer
}

export const verify: FastifyPluginAsync<VerifyOptions> = async (scope, options) => {
  scope.setErrorHandler((error, request, reply) => {
    sendRefusal(asVerdict(toGatewayError(error)), request, reply)
  })
  await scope.register(readForwarded)
  await decide(scope, options)
  scope.addHook('onRequest', function tellIdentity({ exchange }, reply, _done) {
    const { session } = exchange
    if (session !== null) {
      const told = identityOf(session, exchange, options)
      for (let i = 0; i < told.length; i += 2) void reply.header(told[i] as string, told[i + 1])
    }
    // Whoever keeps it would let a session in after its end.
    void reply.header('cache-control', 'no-store').send()
  })

  // A preflight that is asked about is judged like any other request; CORS would let it pass with a 204.
  for (const url of [DOOR, `${DOOR}/*`]) takeAll(scope, url, PROXIED, { cors: false })
}

function identityOf(
  session: Session,
  exchange: Exchange,
  { upstreamOf, assertions }: VerifyOptions
): readonly string[] {
  const { audience } = upstreamOf(matchedRoute(exchange))
  const identity = identityHeaders(session)
  if (audience === null) return identity
  return [...identity, 'X-Gateway-Assertion', assertions.assertionFor(session, audience)]
}

/**
 * nginx knows 2xx, 401 and 403, and takes all else for a failure. So every refusal is one of these, except where the
 * answer may be another one in a moment: 429 and 503. The code stands in a header too, as nginx drops the body.
 */
function asVerdict({ code, statusCode, reason, cause, headers }: GatewayError): GatewayError {
  const refused = statusCode < 500 && statusCode !== 401 && statusCode !== 429
  return new GatewayError(code, {
    reason,
    cause,
    headers: { ...headers, 'x-gateway-code': code },
    status: refused ? 403 : statusCode
  })
}
