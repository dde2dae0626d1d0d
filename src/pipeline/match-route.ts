/**
 * Pipeline stage: where does it go?
 *
 *   reads   exchange.method, .target, .host, .trustedPeer
 *   writes  exchange.path, .search, .route
 *   throws  BAD_PATH 400, ROUTE_NOT_FOUND 404, METHOD_NOT_ALLOWED 405
 *
 * What is matched here is, byte for byte, what `forward` sends.
 */
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import type { Exchange } from '../edge/exchange.js'
import { GatewayError } from '../errors.js'
import { canonicalPath } from '../routes/canonical-path.js'
import { type AnswersFor, hostName } from '../routes/own-hosts.js'
import type { Route, RouteTable } from '../routes/route-table.js'

export interface MatchRouteOptions {
  /** The table in force; SIGHUP puts another one in its place. */
  readonly routeTable: () => RouteTable
  /** Likewise. A trusted proxy has its own list of hosts, and is believed. */
  readonly answersFor: AnswersFor
}

const matchRoutePlugin: FastifyPluginAsync<MatchRouteOptions> = async (scope, { routeTable, answersFor }) => {
  scope.addHook('onRequest', function matchRoute({ exchange }, _reply, done) {
    const target = canonicalPath(exchange.target)
    if (target === null) throw new GatewayError('BAD_PATH')
    exchange.path = target.path
    exchange.search = target.search

    const host = hostName(exchange.host)
    if (!exchange.trustedPeer && !answersFor(host)) throw new GatewayError('ROUTE_NOT_FOUND', { reason: 'foreign_host' })
    const match = routeTable().match({ method: exchange.method, host, path: target.path })
    if (match.kind === 'none') throw new GatewayError('ROUTE_NOT_FOUND')
    if (match.kind === 'method') {
      throw new GatewayError('METHOD_NOT_ALLOWED', { headers: { allow: match.allow.join(', ') } })
    }
    exchange.route = match.route
    done()
  })
}

/** For the stages behind this one. Throws INTERNAL_ERROR where it has not run: nothing may go on without a route. */
export function matchedRoute({ route }: Exchange): Route {
  if (route === null) throw new GatewayError('INTERNAL_ERROR', { reason: 'no_route' })
  return route
}

export const matchRoute = fp(matchRoutePlugin, { name: 'match-route', fastify: '5.x', dependencies: ['begin'] })
