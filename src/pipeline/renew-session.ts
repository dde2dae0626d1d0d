/**
 * Pipeline stage: does the client need another credential than the one it came with? The answer brings it, whatever
 * it will be, a refusal of a later stage included.
 *
 *   reads   exchange.session, .rotation, .credential, the Cookie header
 *   writes  exchange.answerHeaders, .token
 */
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import type { SessionRenewal } from '../session/session-renewal.js'
import type { TokenRotation } from '../session/token-rotation.js'

export interface RenewSessionOptions {
  /** Null in attached mode: sessions and cookies are the other server's. */
  readonly renewal: SessionRenewal | null
  /** Null: tokens stay what they are. */
  readonly rotation: TokenRotation | null
}

const renewSessionPlugin: FastifyPluginAsync<RenewSessionOptions> = async (scope, { renewal, rotation }) => {
  if (renewal === null) return
  scope.addHook('onRequest', function renewSession({ exchange, raw }, _reply, done) {
    const { session, credential } = exchange
    if (session === null || credential.kind !== 'token') return done()
    const tell = (newToken: string | null): void => {
      if (newToken !== null) exchange.token = newToken
      exchange.answerHeaders = renewal.headersFor(session, credential, raw.headers.cookie, newToken)
      done()
    }
    if (rotation === null || exchange.rotation === null) return tell(null)
    // This one is waited for: the answer must bring the new token, as the old one ends in a moment.
    void rotation.tokenFor(credential.token, exchange.rotation).then(tell)
  })
}

export const renewSession = fp(renewSessionPlugin, {
  name: 'renew-session',
  fastify: '5.x',
  dependencies: ['authenticate']
})
