/**
 * Pipeline stage: may this caller come in here? Asked after every look-up, hit and miss alike:
 * caches answer "who", never "may" (GHSA-qvp4-rpmr-xwrr).
 *
 *   reads   exchange.route, exchange.session
 *   writes  exchange.granted
 *   throws  INSUFFICIENT_ROLE, EMAIL_NOT_VERIFIED, SESSION_NOT_FRESH, all 403
 */
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import type { Clock } from '../clock.js'
import { GatewayError } from '../errors.js'
import { refusalOf } from '../routes/access.js'
import { matchedRoute } from './match-route.js'

export interface AuthorizeOptions {
  /** The database's clock: a session's age does not depend on ours. */
  readonly databaseNow: Clock
}

const authorizePlugin: FastifyPluginAsync<AuthorizeOptions> = async (scope, { databaseNow }) => {
  scope.addHook('onRequest', function authorize({ exchange }, _reply, done) {
    const { session } = exchange
    const { access } = matchedRoute(exchange)
    if (session !== null) {
      const code = refusalOf(access, session, databaseNow)
      if (code !== null) throw new GatewayError(code)
    }
    exchange.granted = true
    done()
  })
}

export const authorize = fp(authorizePlugin, { name: 'authorize', fastify: '5.x', dependencies: ['renew-session'] })
