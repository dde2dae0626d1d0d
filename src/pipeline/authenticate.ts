/**
 * Pipeline stage: who is calling?
 *
 *   reads   exchange.route, exchange.credential
 *   writes  exchange.session, .token, .rotation, .source, .authMs
 *   throws  AUTHENTICATION_REQUIRED 401, INVALID_SESSION 401,
 *           AUTH_SERVICE_UNAVAILABLE 503 (from the resolver)
 */
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import type { Exchange } from '../edge/exchange.js'
import { GatewayError } from '../errors.js'
import type { SessionResolver } from '../session/resolve-session.js'
import type { Rotation } from '../session/session.js'

export interface AuthenticateOptions {
  readonly resolver: SessionResolver
}

const REALM = 'Bearer realm="session-gateway"'

const authenticatePlugin: FastifyPluginAsync<AuthenticateOptions> = async (scope, { resolver }) => {
  scope.addHook('onRequest', function authenticate({ exchange }, _reply, done) {
    const { route, credential } = exchange
    // No route means a bug before us: ask for a session rather than let it pass.
    const level = route?.access.level ?? 'session'
    if (level === 'public') return done()
    if (credential.kind !== 'token') return level === 'optional' ? done() : done(refusal(exchange, null))

    const strict = route?.consistency === 'strict'
    const remembered = strict ? null : resolver.remembered(credential)
    if (remembered !== null) {
      exchange.source = 'local'
      exchange.session = remembered
      exchange.token = credential.token
      return done()
    }

    const askedAt = performance.now()
    resolver.resolve(credential.token, strict).then(
      lookup => {
        const { session, source, reason } = lookup
        exchange.authMs = performance.now() - askedAt
        exchange.source = source
        exchange.session = session
        exchange.rotation = lookup.session === null ? null : (lookup.rotation ?? null)
        exchange.token = currentToken(credential.token, exchange.rotation)
        if (session === null && level === 'session') done(refusal(exchange, reason))
        else done()
      },
      // An outage is a 503. Clients answer a 401 by dropping their cookie, so it must never look like one.
      (outage: Error) => {
        exchange.authMs = performance.now() - askedAt
        done(outage)
      }
    )
  })
}

function currentToken(offered: string, rotation: Rotation | null): string {
  return rotation === null || rotation === 'due' ? offered : rotation.token
}

/** One public answer for forged, unknown, expired, revoked and banned: no oracle. The log keeps the difference. */
export function refusal({ credential }: Exchange, reason: string | null): GatewayError {
  if (credential.kind === 'none') {
    return new GatewayError('AUTHENTICATION_REQUIRED', { headers: { 'www-authenticate': REALM } })
  }
  return new GatewayError('INVALID_SESSION', {
    reason: `${reason ?? 'forged'}_${credential.source}`,
    // RFC 6750 section 3.1
    headers: { 'www-authenticate': `${REALM}, error="invalid_token"` }
  })
}

export const authenticate = fp(authenticatePlugin, {
  name: 'authenticate',
  fastify: '5.x',
  // Checked at boot: a pipeline put together in the wrong order does not start.
  dependencies: ['check-origin']
})
