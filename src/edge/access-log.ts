/**
 * One line a request, written when the response is over, however it ends; and the same facts as metrics.
 * Fields: contract section 8. Never a token, cookie, secret, password or e-mail; the query is left out.
 */
import type { ServerResponse } from 'node:http'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Metrics } from './metrics.js'

export interface AccessLogOptions {
  readonly metrics: Metrics
}

/** The client went away before the answer was complete; nginx's number for it. */
const CLIENT_CLOSED_REQUEST = 499
/** A path may be 8 KiB; a log line may not (OWASP ASVS 16.4.1). */
const LONGEST_PATH = 1024

const accessLogPlugin: FastifyPluginAsync<AccessLogOptions> = async (scope, { metrics }) => {
  scope.addHook('onRequest', function accessLog(request, reply, done) {
    if (!isHealthCheck(request)) {
      // 'close' comes after 'finish' and after an abort alike: exactly one line either way.
      reply.raw.once('close', () => writeLine(request, reply.raw, metrics))
    }
    done()
  })
}

function isHealthCheck({ url }: FastifyRequest): boolean {
  return url === '/livez' || url === '/readyz'
}

function writeLine(request: FastifyRequest, response: ServerResponse, metrics: Metrics): void {
  const { exchange, method } = request
  const totalMs = performance.now() - exchange.startedAt
  const status = response.writableFinished ? response.statusCode : CLIENT_CLOSED_REQUEST
  const route = exchange.route?.name ?? ownRouteOf(request)
  metrics.requestDone(route, method, status, totalMs)
  request.log.info({
    requestId: exchange.requestId,
    method,
    path: pathOf(request).slice(0, LONGEST_PATH),
    route,
    status,
    granted: exchange.granted,
    reason: exchange.reason,
    source: exchange.source ?? 'none',
    userId: exchange.session?.userId ?? null,
    authMs: round(exchange.authMs),
    upstreamMs: exchange.upstreamMs === null ? null : round(exchange.upstreamMs),
    totalMs: round(totalMs),
    ip: exchange.clientAddress
  })
}

/** What the gateway serves itself goes by its pattern, `/api/auth/*`; null: nothing was matched. */
function ownRouteOf({ routeOptions }: FastifyRequest): string | null {
  return routeOptions.url === undefined || routeOptions.url === '/*' || routeOptions.url === '*'
    ? null
    : routeOptions.url
}

/** The canonical path, or for a refused one what was asked for, unless a user name could be in it. */
function pathOf({ exchange, url, originalUrl }: FastifyRequest): string {
  if (exchange.path !== '') return exchange.path
  return (originalUrl.startsWith('/') ? originalUrl : url).replace(/[?#].*/s, '')
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000
}

export const accessLog = fp(accessLogPlugin, { name: 'access-log', fastify: '5.x', dependencies: ['begin'] })
