/**
 * First hook of every request: who is at the other end, which id it goes by, and whether its header
 * section is one that every server reads alike.
 *
 *   writes  request.exchange
 *   throws  BAD_REQUEST 400, 417, 431 (`checkHeaderSection`, too many hops), DRAINING 503,
 *           AUTH_SERVICE_UNAVAILABLE 503 (overload)
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyPluginAsync, RawServerDefault } from 'fastify'
import fp from 'fastify-plugin'
import { GatewayError } from '../errors.js'
import { Exchange } from './exchange.js'
import type { Peer, PeerReader } from './client-address.js'
import { checkHeaderSection } from './header-section.js'
import { isHealthCheck } from './health.js'
import type { OverloadGuard } from './overload.js'

export interface BeginOptions {
  readonly readPeer: PeerReader
  /** True once the listener is closed and only stragglers on open connections arrive. */
  readonly isClosing: () => boolean
  readonly overload: Pick<OverloadGuard, 'admit'>
}

const REQUEST_ID = /^[\w-]{8,64}$/

const beginPlugin: FastifyPluginAsync<BeginOptions, RawServerDefault> = async (
  scope,
  { readPeer, isClosing, overload }
) => {
  scope.decorateRequest('exchange', null, [])

  scope.addHook('onRequest', function begin(request, reply, done) {
    const { raw } = request
    const { peer, problem } = readPeerSafely(readPeer, raw)
    request.exchange = new Exchange(requestIdOf(raw, peer.trusted), peer, raw)
    if (problem !== null) throw problem
    if (isClosing()) throw new GatewayError('DRAINING', { headers: { connection: 'close', 'retry-after': '1' } })
    // Whoever is asked for a sign of life must give it: this process is to live.
    if (!isHealthCheck(request)) overload.admit()
    if (isBehindLast(raw, reply.raw)) throw new GatewayError('BAD_REQUEST', { reason: 'after_close' })
    checkHeaderSection(raw)
    done()
  })
}

/** A refusal is logged and answered like any other, so it needs an exchange too. */
function readPeerSafely(readPeer: PeerReader, raw: IncomingMessage): { peer: Peer; problem: unknown } {
  try {
    return { peer: readPeer(raw), problem: null }
  } catch (problem) {
    const address = raw.socket.remoteAddress ?? '0.0.0.0'
    return { peer: { peerAddress: address, clientAddress: address, trusted: false, forwardedFor: '' }, problem }
  }
}

/**
 * RFC 9112 section 9.6: what is pipelined behind an answer that says `Connection: close` is not processed. Node
 * parses on, and drops the answers; an upstream that was asked would not know.
 */
function isBehindLast({ socket }: IncomingMessage, response: ServerResponse): boolean {
  const { _httpMessage: underWay } = socket as Socket & { _httpMessage?: ServerResponse & { _last?: boolean } }
  return socket.writableEnded || (underWay !== response && underWay?._last === true)
}

function requestIdOf(raw: IncomingMessage, trusted: boolean): string {
  const offered = trusted ? raw.headers['x-request-id'] : undefined
  return typeof offered === 'string' && REQUEST_ID.test(offered) ? offered : randomUUID()
}

export const begin = fp(beginPlugin, { name: 'begin', fastify: '5.x' })
