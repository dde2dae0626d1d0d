/**
 * First hook of every request: who is at the other end, which id it goes by, and whether its header
 * section is one that every server reads alike.
 *
 *   writes  request.exchange
 *   throws  BAD_REQUEST 400 (Host missing from the rules of RFC 9112 section 3.2, too many hops),
 *           431 (more header lines than anybody needs), DRAINING 503
 */
import type { IncomingMessage } from 'node:http'
import { randomUUID } from 'node:crypto'
import type { FastifyPluginAsync, RawServerDefault } from 'fastify'
import fp from 'fastify-plugin'
import { GatewayError } from '../errors.js'
import { Exchange } from './exchange.js'
import type { Peer, PeerReader } from './client-address.js'

export interface BeginOptions {
  readonly readPeer: PeerReader
  /** True once the listener is closed and only stragglers on open connections arrive. */
  readonly isClosing: () => boolean
}

/** Node drops lines past its own limit without a word; we refuse long before that. */
const MAX_HEADER_LINES = 500
const REQUEST_ID = /^[\w-]{8,64}$/
const HOST = /^(?:[a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$/i

const beginPlugin: FastifyPluginAsync<BeginOptions, RawServerDefault> = async (scope, { readPeer, isClosing }) => {
  scope.decorateRequest('exchange', null as unknown as Exchange)

  scope.addHook('onRequest', function begin(request, _reply, done) {
    const { raw } = request
    const { peer, problem } = readPeerSafely(readPeer, raw)
    request.exchange = new Exchange(requestIdOf(raw, peer.trusted), peer)
    if (problem !== null) throw problem
    if (isClosing()) throw new GatewayError('DRAINING', { headers: { connection: 'close', 'retry-after': '1' } })
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
    return { peer: { peerAddress: address, clientAddress: address, trusted: false }, problem }
  }
}

function requestIdOf(raw: IncomingMessage, trusted: boolean): string {
  const offered = trusted ? raw.headers['x-request-id'] : undefined
  return typeof offered === 'string' && REQUEST_ID.test(offered) ? offered : randomUUID()
}

/** Two Host lines, or one that is no host, name different servers to different readers: RFC 9112 section 3.2. */
function checkHeaderSection({ rawHeaders, httpVersionMinor }: IncomingMessage): void {
  if (rawHeaders.length > 2 * MAX_HEADER_LINES) {
    throw new GatewayError('BAD_REQUEST', { status: 431, reason: 'too_many_headers' })
  }
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    if (name?.length === 4 && name.toLowerCase() === 'host') {
      hosts++
      if (!isHost(rawHeaders[i + 1] ?? '')) throw new GatewayError('BAD_REQUEST', { reason: 'bad_host' })
    }
  }
  if (hosts > 1 || (hosts === 0 && httpVersionMinor > 0)) {
    throw new GatewayError('BAD_REQUEST', { reason: hosts > 1 ? 'two_hosts' : 'no_host' })
  }
}

/** The few names a gateway goes by are remembered, so that the pattern runs once for each. */
const goodHosts = new Set<string>()

function isHost(value: string): boolean {
  if (goodHosts.has(value)) return true
  const [match, port] = HOST.exec(value) ?? []
  if (match === undefined || Number(port ?? 0) > 65535) return false
  if (goodHosts.size < 100) goodHosts.add(value)
  return true
}

export const begin = fp(beginPlugin, { name: 'begin', fastify: '5.x' })
