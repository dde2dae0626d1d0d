/**
 * Pipeline stage: has this caller had enough of this route? Counted across nodes. It stands behind the
 * decision on access, because a limit by user needs to know who that is, and a stranger costs no counter.
 *
 *   reads   exchange.route, exchange.session, exchange.clientAddress
 *   throws  RATE_LIMITED 429 with Retry-After
 */
import rateLimit from '@fastify/rate-limit'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { addressKey } from '../edge/client-address.js'
import { tellLimit } from '../edge/limit-headers.js'
import type { LimitStoreClass } from '../edge/limit-store.js'
import type { Metrics } from '../edge/metrics.js'
import { GatewayError } from '../errors.js'
import type { RateLimit } from '../routes/route-table.js'

export interface LimitRateOptions {
  /** The same for every door: a route is one, however its requests are asked about. */
  readonly routeLimits: LimitStoreClass
  readonly metrics: Metrics
}

type Limiter = ReturnType<Parameters<FastifyPluginAsync>[0]['createRateLimit']>

const limitRatePlugin: FastifyPluginAsync<LimitRateOptions> = async (scope, { routeLimits, metrics }) => {
  await scope.register(rateLimit, { global: false, store: routeLimits })
  const limiters = new WeakMap<RateLimit, Limiter>()

  function limiterOf(limit: RateLimit): Limiter {
    const known = limiters.get(limit)
    if (known !== undefined) return known
    const limiter = scope.createRateLimit({ max: limit.max, timeWindow: limit.windowMs, keyGenerator: keyOf })
    limiters.set(limit, limiter)
    return limiter
  }

  scope.addHook('onRequest', function limitRate(request, reply, done) {
    const limit = request.exchange.route?.rateLimit
    if (limit == null) return done()
    limiterOf(limit)(request).then(verdict => {
      if (verdict.isAllowed) return done()
      const retryAfter = tellLimit(reply, limit.name, verdict)
      if (!verdict.isExceeded) return done()
      metrics.rateLimited('route')
      request.exchange.granted = false
      done(new GatewayError('RATE_LIMITED', { reason: 'route_limit', headers: { 'retry-after': retryAfter } }))
    }, done)
  })
}

/** By user where the route says so and one is known, else by address. */
function keyOf({ exchange }: FastifyRequest): string {
  const { route, session, clientAddress } = exchange
  const limit = route?.rateLimit
  const caller = limit?.by === 'user' && session !== null ? `user:${session.userId}` : addressKey(clientAddress)
  return `route:${limit?.name}:${caller}`
}

export const limitRate = fp(limitRatePlugin, { name: 'limit-rate', fastify: '5.x', dependencies: ['authorize'] })
