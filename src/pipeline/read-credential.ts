/**
 * Pipeline stage: what proof is offered? One HMAC, no I/O: a forged cookie costs nobody a query.
 *
 *   reads   exchange.route, the Cookie and Authorization headers
 *   writes  exchange.credential
 */
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import type { CredentialReader } from '../session/credential.js'

export interface ReadCredentialOptions {
  readonly readCredential: CredentialReader
}

const readCredentialPlugin: FastifyPluginAsync<ReadCredentialOptions> = async (scope, options) => {
  scope.addHook('onRequest', function readCredential(request, _reply, done) {
    const { exchange } = request
    if (exchange.route?.access.level !== 'public') exchange.credential = options.readCredential(request.raw)
    done()
  })
}

export const readCredential = fp(readCredentialPlugin, {
  name: 'read-credential',
  fastify: '5.x',
  dependencies: ['match-route']
})
