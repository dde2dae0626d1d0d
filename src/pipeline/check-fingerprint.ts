/**
 * Pipeline stage: is it still the browser that signed in (R41)? Before the session is renewed: a stranger must not
 * make it last longer. Not there at all with `SESSION_FINGERPRINT=off`.
 *
 *   reads   exchange.route, exchange.session, exchange.credential, exchange.clientAddress, the User-Agent header
 *   writes  exchange.session
 *   throws  INVALID_SESSION 401, AUTH_SERVICE_UNAVAILABLE 503 when the session cannot be ended
 */
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import type { FingerprintGuard } from '../session/fingerprint-guard.js'
import { refusal } from './authenticate.js'

export interface CheckFingerprintOptions {
  /** Null: nothing is compared. */
  readonly fingerprints: FingerprintGuard | null
}

const checkFingerprintPlugin: FastifyPluginAsync<CheckFingerprintOptions> = async (scope, { fingerprints: guard }) => {
  if (guard === null) return
  scope.addHook('onRequest', function checkFingerprint({ exchange, headers }, _reply, done) {
    const { session, credential, clientAddress, route } = exchange
    if (session === null || credential.kind !== 'token') return done()
    const userAgent = headers['user-agent'] ?? ''
    if (!guard.isStranger(session, userAgent, clientAddress)) return done()
    exchange.session = null
    guard
      .end(session, credential.token, userAgent, clientAddress)
      .then(() => (route?.access.level === 'optional' ? done() : done(refusal(exchange, 'fingerprint'))), done)
  })
}

export const checkFingerprint = fp(checkFingerprintPlugin, {
  name: 'check-fingerprint',
  fastify: '5.x',
  dependencies: ['authenticate']
})
