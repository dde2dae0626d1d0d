/**
 * Pipeline stage: did one of our own pages send this? Browsers attach cookies to requests of any site,
 * so an unsafe method with a cookie needs an Origin of ours (contract section 5, R44). A bearer token is
 * never attached by itself and is exempt.
 *
 *   reads   exchange.method, .route, .credential, Origin, Sec-Fetch-Site
 *   throws  ORIGIN_NOT_ALLOWED 403
 */
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { GatewayError } from '../errors.js'

export interface CheckOriginOptions {
  /** Exact origins, lower case: the base URL's own and CORS_ORIGINS. */
  readonly allowedOrigins: ReadonlySet<string>
}

/** RFC 9110 section 9.2.1: these change nothing. */
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])

const checkOriginPlugin: FastifyPluginAsync<CheckOriginOptions> = async (scope, { allowedOrigins }) => {
  scope.addHook('onRequest', function checkOrigin(request, _reply, done) {
    if (needsOrigin(request) && !isAllowed(request, allowedOrigins)) throw new GatewayError('ORIGIN_NOT_ALLOWED')
    done()
  })
}

function needsOrigin({ exchange }: FastifyRequest): boolean {
  const { method, credential, route } = exchange
  if (SAFE_METHODS.has(method) || route?.originCheck === false) return false
  return credential.kind === 'token' && credential.source === 'cookie'
}

/** Origin decides when it is there; without it only the browser's own word that no other site is behind it. */
function isAllowed({ headers }: FastifyRequest, allowedOrigins: ReadonlySet<string>): boolean {
  if (headers.origin !== undefined) return allowedOrigins.has(headers.origin.toLowerCase())
  const site = headers['sec-fetch-site']
  return site === 'same-origin' || site === 'none'
}

export const checkOrigin = fp(checkOriginPlugin, {
  name: 'check-origin',
  fastify: '5.x',
  dependencies: ['read-credential']
})
