/**
 * Pipeline stage: does the client need another credential than the one it came with? The answer brings it, whatever
 * it will be, a refusal of a later stage included.
 *
 *   reads   exchange.session, exchange.credential, the Cookie header
 *   writes  exchange.answerHeaders
 */
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import type { SessionRenewal } from '../session/session-renewal.js'

export interface RenewSessionOptions {
  /** Null in attached mode: sessions and cookies are the other server's. */
  readonly renewal: SessionRenewal | null
}

const renewSessionPlugin: FastifyPluginAsync<RenewSessionOptions> = async (scope, { renewal }) => {
  if (renewal === null) return
  scope.addHook('onRequest', function renewSession({ exchange, raw }, _reply, done) {
    const { session, credential } = exchange
    if (session !== null && credential.kind === 'token') {
      exchange.answerHeaders = renewal.headersFor(session, credential, raw.headers.cookie, null)
    }
    done()
  })
}

export const renewSession = fp(renewSessionPlugin, {
  name: 'renew-session',
  fastify: '5.x',
  dependencies: ['authenticate']
})
