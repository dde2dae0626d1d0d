/**
 * Pipeline stage: where does it go?
 *
 *   reads   the request target, Host
 *   writes  exchange.path, .search, .route
 *   throws  BAD_PATH 400, ROUTE_NOT_FOUND 404, METHOD_NOT_ALLOWED 405
 *
 * What is matched here is, byte for byte, what `forward` sends.
 */
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { GatewayError } from '../errors.js'
import { canonicalPath } from '../routes/canonical-path.js'
import type { RouteTable } from '../routes/route-table.js'

export interface MatchRouteOptions {
  /** The table in force; SIGHUP puts another one in its place. */
  readonly routeTable: () => RouteTable
}

const matchRoutePlugin: FastifyPluginAsync<MatchRouteOptions> = async (scope, { routeTable }) => {
  scope.addHook('onRequest', function matchRoute(request, _reply, done) {
    const { exchange } = request
    const target = canonicalPath(request.raw.url ?? '')
    if (target === null) throw new GatewayError('BAD_PATH')
    exchange.path = target.path
    exchange.search = target.search

    const match = routeTable().match({ method: request.method, host: hostOf(request), path: target.path })
    if (match.kind === 'none') throw new GatewayError('ROUTE_NOT_FOUND')
    if (match.kind === 'method') {
      throw new GatewayError('METHOD_NOT_ALLOWED', { headers: { allow: match.allow.join(', ') } })
    }
    exchange.route = match.route
    done()
  })
}

/** Lower case, no port, no final dot (`a.test.` is `a.test`). A trusted proxy may have put its own name into Host. */
function hostOf({ exchange, headers }: FastifyRequest): string {
  const forwarded = exchange.trustedPeer ? headers['x-forwarded-host'] : undefined
  const host = String(forwarded ?? headers.host ?? '').toLowerCase()
  const port = host.lastIndexOf(':')
  const name = port > host.lastIndexOf(']') ? host.slice(0, port) : host
  return name.endsWith('.') ? name.slice(0, -1) : name
}

export const matchRoute = fp(matchRoutePlugin, { name: 'match-route', fastify: '5.x', dependencies: ['begin'] })
