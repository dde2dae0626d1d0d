/**
 * Pipeline stage: did one of our own pages send this? Browsers attach cookies to requests of any site,
 * so an unsafe method with a cookie needs an Origin of ours (contract section 5, R44). A bearer token is
 * never attached by itself and is exempt.
 *
 * A WebSocket handshake is a GET, but what it opens can do anything, and no browser keeps other sites from reading it
 * (cross-site WebSocket hijacking): with a cookie it needs an Origin as well, as every browser sends one.
 *
 *   reads   exchange.method, .route, .credential, Origin, Sec-Fetch-Site, Sec-WebSocket-Key
 *   throws  ORIGIN_NOT_ALLOWED 403
 */
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { isFromOurPage, SAFE_METHODS } from '../edge/request-origin.js'
import { GatewayError } from '../errors.js'

export interface CheckOriginOptions {
  /** Exact origins, lower case: the base URL's own and CORS_ORIGINS. */
  readonly allowedOrigins: ReadonlySet<string>
}

const checkOriginPlugin: FastifyPluginAsync<CheckOriginOptions> = async (scope, { allowedOrigins }) => {
  scope.addHook('onRequest', function checkOrigin(request, _reply, done) {
    if (needsOrigin(request) && !isAllowed(request, allowedOrigins)) throw new GatewayError('ORIGIN_NOT_ALLOWED')
    done()
  })
}

function needsOrigin({ exchange, headers }: FastifyRequest): boolean {
  const { method, credential, route } = exchange
  if (route?.originCheck === false || (SAFE_METHODS.has(method) && !isHandshake(headers))) return false
  return credential.kind === 'token' && credential.source === 'cookie'
}

/** By a header no page can set and no proxy takes away: the forward-auth door sees handshakes without their Upgrade. */
function isHandshake(headers: FastifyRequest['headers']): boolean {
  return headers['sec-websocket-key'] !== undefined
}

function isAllowed({ headers }: FastifyRequest, allowedOrigins: ReadonlySet<string>): boolean {
  return (headers.origin !== undefined || !isHandshake(headers)) && isFromOurPage(headers, allowedOrigins)
}

export const checkOrigin = fp(checkOriginPlugin, {
  name: 'check-origin',
  fastify: '5.x',
  dependencies: ['read-credential']
})
