/**
 * WebSocket handshakes on their way into the same hooks and routes that every request meets (RFC 6455 section 4). Node
 * takes a connection off its parser for whatever Upgrade a client names, once somebody listens; here that is done for a
 * GET that asks for a WebSocket, and the rest go on as the plain requests they also are (RFC 9110 section 7.8).
 */
import { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { GatewayError } from '../errors.js'

/** How long a refused client may go on sending before its connection is closed. */
const LINGER_MS = 2000
const WEBSOCKET = /(?:^|,)\s*websocket\s*(?:,|$)/i
/** 16 bytes in base64, as an encoder writes them. */
const KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/
const VERSION = '13'

const asked = Symbol('asked to upgrade')

/** The server's `IncomingMessage`: Node's parser notes in `upgrade` what it saw, and asks there what to do about it. */
export class UpgradableMessage extends IncomingMessage {
  [asked] = false

  set upgrade(seen: boolean | null) {
    this[asked] = seen === true
  }

  get upgrade(): boolean {
    return this[asked] && (this.method === 'CONNECT' || (this.method === 'GET' && namesWebSocket(this)))
  }
}

/** What came behind the handshake, by request. */
const heads = new WeakMap<IncomingMessage, Buffer>()

/** Null: an ordinary request. */
export function handshakeOf(request: IncomingMessage): { readonly socket: Socket; readonly head: Buffer } | null {
  // Asked of every request.
  const head = request.headers.upgrade === undefined ? undefined : heads.get(request)
  return head === undefined ? null : { socket: request.socket, head }
}

/** `sockets` holds every connection that has left the parser, for as long as it is open: Node's server forgets them. */
export function acceptUpgrades(app: FastifyInstance, sockets: Set<Socket>): void {
  app.server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => {})
    const { _httpMessage: underWay } = socket as Socket & { _httpMessage?: ServerResponse | null }
    // Pipelined behind a request that is not answered yet: no WebSocket client does that.
    if (socket.destroyed || underWay != null) {
      socket.destroy()
      return
    }
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    heads.set(request, head)
    app.routing(request, responseOn(socket, request))
  })
}

/** The parser is gone, so whatever is answered is the last on this connection. */
function responseOn(socket: Socket, request: IncomingMessage): ServerResponse {
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket)
  response.once('finish', () => {
    response.detachSocket(socket)
    socket.resume().end()
    const timer = setTimeout(() => socket.destroy(), LINGER_MS)
    socket.once('close', () => clearTimeout(timer))
    response.emit('close')
  })
  return response
}

/** Throws BAD_REQUEST with 400 or 426, or METHOD_NOT_ALLOWED, for a handshake that servers may read in several ways. */
export function checkHandshake(request: IncomingMessage): void {
  const { headers, method } = request
  if (!namesWebSocket(request) || !/\bupgrade\b/i.test(headers.connection ?? '')) return
  if (method !== 'GET') throw new GatewayError('METHOD_NOT_ALLOWED', { headers: { allow: 'GET' } })
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  if (hasBody || request.httpVersionMinor === 0 || !KEY.test(headers['sec-websocket-key'] ?? '')) {
    throw new GatewayError('BAD_REQUEST', { reason: 'bad_handshake' })
  }
  if (headers['sec-websocket-version'] !== VERSION) {
    throw new GatewayError('BAD_REQUEST', {
      status: 426,
      reason: 'websocket_version',
      headers: { upgrade: 'websocket', 'sec-websocket-version': VERSION }
    })
  }
}

function namesWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade !== undefined && WEBSOCKET.test(headers.upgrade)
}
