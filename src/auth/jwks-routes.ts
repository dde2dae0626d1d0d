/** `/.well-known/jwks.json`: what upstreams verify X-Gateway-Assertion with. */
import type { FastifyPluginAsync } from 'fastify'
import { GatewayError } from '../errors.js'
import { JWKS_MAX_AGE_S, type KeyRing } from '../identity/key-ring.js'
import { RETRY_AFTER } from './auth-answer.js'

export interface JwksRoutesOptions {
  readonly keyRing: Pick<KeyRing, 'ready' | 'jwks'>
}

export const jwksRoutes: FastifyPluginAsync<JwksRoutesOptions> = async (scope, { keyRing }) => {
  scope.get('/.well-known/jwks.json', async (_request, reply) => {
    // An empty set would be kept for minutes by whoever asked.
    if (!keyRing.ready) {
      throw new GatewayError('AUTH_SERVICE_UNAVAILABLE', { reason: 'no_signing_key', headers: RETRY_AFTER })
    }
    return reply
      .header('cache-control', `public, max-age=${JWKS_MAX_AGE_S}`)
      .type('application/json; charset=utf-8')
      .send(keyRing.jwks)
  })
}
