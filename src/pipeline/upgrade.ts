/**
 * Pipeline stage: WebSocket handshakes. They come through every stage before this one like any other request; here
 * they must be well-formed, and not one too many. What `forward` needs when the upstream says 101 is here as well.
 *
 *   reads   exchange.route, exchange.session, Upgrade, Connection, Sec-WebSocket-*
 *   throws  BAD_REQUEST 400 and 426, METHOD_NOT_ALLOWED 405, RATE_LIMITED 429
 */
import type { Socket } from 'node:net'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { checkHandshake, handshakeOf } from '../edge/upgrades.js'
import type { Metrics } from '../edge/metrics.js'
import { type ErrorCode, GatewayError } from '../errors.js'
import type { Route } from '../routes/route-table.js'
import { removeNamed } from '../upstream/header-names.js'
import { type AnswerPolicy, answerHead } from '../upstream/response-headers.js'
import { Tunnel } from '../upstream/tunnel.js'
import type { Upstream } from '../upstream/upstream-pool.js'
import { type KeepLiveOptions, keepLive } from './keep-live.js'
import { matchedRoute } from './match-route.js'
import { SocketCap } from './socket-cap.js'

export interface UpgradeOptions {
  readonly upstreamOf: (route: Route) => Upstream
  readonly metrics: Metrics
}

const upgradePlugin: FastifyPluginAsync<UpgradeOptions> = async (scope, { upstreamOf, metrics }) => {
  const sockets = new SocketCap()

  scope.addHook('onRequest', function upgrade({ raw, exchange }, reply, done) {
    if (raw.headers.upgrade === undefined) return done()
    checkHandshake(raw)
    // Nobody is there any more, and nothing would say so again: no answer, and no place taken.
    if (raw.socket.destroyed) return
    const { session } = exchange
    if (session !== null && handshakeOf(raw) !== null) {
      const { name, maxSockets } = upstreamOf(matchedRoute(exchange))
      const release = sockets.take(name, session.userId, maxSockets)
      if (release === null) {
        exchange.granted = false
        metrics.rateLimited('sockets')
        throw new GatewayError('RATE_LIMITED', { reason: 'socket_limit', headers: { 'retry-after': RETRY_AFTER } })
      }
      reply.raw.once('close', release)
    }
    done()
  })
}

const RETRY_AFTER = '5'
/** A client that takes nothing for so many idle times is gone; the same as for a plain answer. */
const STALLED_AFTER = 5
/** RFC 9110 section 8.6: no length; and Connection says here what it must. */
const NOT_IN_101 = new Set(['content-length', 'connection'])
const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'

/** RFC 6455 section 7.4: 4000 and above are for applications; 1001 going away, 1013 try again later. */
const CLOSE_CODES: Partial<Record<ErrorCode, number>> = { DRAINING: 1001, AUTH_SERVICE_UNAVAILABLE: 1013 }
const SESSION_OVER = 4401

/** Null for an ordinary request. What it returns hands the upstream's 101 to the client and lets the frames pass. */
export function switcherOf(
  request: FastifyRequest,
  reply: FastifyReply,
  upstream: Upstream,
  policy: AnswerPolicy,
  options: KeepLiveOptions
): ((rawHeaders: readonly string[], socket: Socket) => GatewayError | null) | null {
  const handshake = handshakeOf(request.raw)
  if (handshake === null) return null
  return (rawHeaders, upstreamSocket) => {
    if (!switchesToWebSocket(rawHeaders)) return new GatewayError('UPSTREAM_BAD_RESPONSE', { reason: 'bad_upgrade' })
    const { headers } = answerHead(101, rawHeaders, policy)
    const { socket: client, head } = handshake
    reply.raw.detachSocket(client)
    client.write(headOf(headers), 'latin1')
    request.exchange.switched = true
    const tunnel = new Tunnel({
      client,
      upstream: upstreamSocket,
      head,
      stallMs: STALLED_AFTER * upstream.idleTimeoutMs,
      onEnd() {
        gone()
        // For the log, and for whoever else waits for the end of an answer.
        reply.raw.emit('close')
      }
    })
    const end = (why: ErrorCode) => tunnel.end(CLOSE_CODES[why] ?? SESSION_OVER, why)
    const gone = keepLive(request, { kind: 'websocket', endsAtDrain: true, end }, options)
    return null
  }
}

function switchesToWebSocket(rawHeaders: readonly string[]): boolean {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() !== 'upgrade') continue
    return rawHeaders[i + 1]?.toLowerCase() === 'websocket'
  }
  return false
}

function headOf(headers: string[]): string {
  removeNamed(headers, NOT_IN_101)
  let head = SWITCHING
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`
  return `${head}\r\n`
}

export const upgrade = fp(upgradePlugin, { name: 'upgrade', fastify: '5.x', dependencies: ['limit-rate'] })
