/**
 * A real upstream for tests: answers every request with JSON that says what arrived, byte for byte, and misbehaves on
 * demand.
 *
 * Misbehaviour is part of the path (`…/__fault/<name>[/<argument>…]`), so that it passes through any gateway:
 *   status/503          echo with that status            hang                 never answers
 *   slow/200            echo after so many milliseconds  reset                RST before the answer
 *   close               FIN before the answer            reset-body           headers, half the body, RST
 *   early/403           answers without reading the body  size/1000000         so many bytes, Content-Length
 *   chunks/5/1024/10    five chunks of 1,024 bytes, 10 ms apart
 *   raw/<base64url>     exactly these bytes, and no echo on this connection any more; `raw-close/…` ends it
 */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'

export interface EchoedRequest {
  readonly method: string
  readonly url: string
  /** Names and values as they came over the wire, flat. */
  readonly rawHeaders: readonly string[]
  readonly bodyLength: number
  readonly bodySha: string
  readonly trailers: readonly string[]
  /** Counts from 1. */
  readonly nth: number
}

export interface ReceivedRequest extends EchoedRequest {
  readonly bodyLength: number
  /** Lower-case names; several lines of one name are joined as Node does. */
  readonly headers: IncomingMessage['headers']
  /** 'reading' until the body has ended; 'aborted' when the connection went away before. */
  readonly state: 'reading' | 'complete' | 'aborted'
}

export interface Upstream {
  /** `http://127.0.0.1:port` */
  readonly origin: string
  readonly port: number
  /** Requests whose headers arrived, oldest first. "Untouched" means its length did not move. */
  readonly received: readonly ReceivedRequest[]
  /** Connections open now, and ever. */
  readonly connections: { readonly open: number; readonly total: number }
  /** Answers instead of the echo when set. The body waits: call `request.resume()` to have it read. */
  respond: ((request: IncomingMessage, response: ServerResponse) => void) | null
  /** Ends every connection that carries no request, as a server's keep-alive timeout does. */
  closeIdleConnections: () => void
  /** Resets every open connection. */
  resetConnections: () => void
  close: () => Promise<void>
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
type Scope = { teardown: (fn: () => unknown) => unknown }

export interface UpstreamOptions {
  /** PEM; with them the upstream speaks TLS. */
  readonly tls?: Pick<ServerOptions, 'key' | 'cert' | 'ca' | 'requestCert'>
  readonly port?: number
  /** Milliseconds an idle connection stays open; default 60 s. */
  readonly keepAliveTimeout?: number
}

/** Listens on a free loopback port; closed by the scope's teardown (pass null to close it yourself). */
export async function startUpstream(scope: Scope | null, options: UpstreamOptions = {}): Promise<Upstream> {
  const received: Mutable<ReceivedRequest>[] = []
  const sockets = new Set<Socket>()
  let total = 0

  const server = options.tls === undefined ? createServer(accept) : createTlsServer(options.tls, accept)
  server.keepAliveTimeout = options.keepAliveTimeout ?? 60_000
  server.on('connection', (socket: Socket) => {
    total++
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>(resolve => server.listen(options.port ?? 0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  function accept(request: IncomingMessage, response: ServerResponse): void {
    const entry = receive(request, received.length + 1)
    received.push(entry)
    if (upstream.respond !== null) upstream.respond(request, response)
    else answer(request, response, entry)
  }

  const upstream: Upstream = {
    origin: `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    port,
    received,
    connections: {
      get open() {
        return sockets.size
      },
      get total() {
        return total
      }
    },
    respond: null,
    closeIdleConnections: () => server.closeIdleConnections(),
    resetConnections: () => sockets.forEach(socket => socket.resetAndDestroy()),
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
  scope?.teardown(() => upstream.close())
  return upstream
}

function receive(request: IncomingMessage, nth: number): Mutable<ReceivedRequest> {
  const entry: Mutable<ReceivedRequest> = {
    method: request.method ?? '',
    url: request.url ?? '',
    rawHeaders: request.rawHeaders,
    headers: request.headers,
    bodyLength: 0,
    bodySha: '',
    trailers: [],
    nth,
    state: 'reading'
  }
  const sha = createHash('sha256')
  request.on('data', (chunk: Buffer) => {
    entry.bodyLength += chunk.length
    sha.update(chunk)
  })
  request.on('end', () => {
    entry.bodySha = sha.digest('hex')
    entry.trailers = request.rawTrailers
    entry.state = 'complete'
  })
  request.on('error', () => {})
  request.on('close', () => {
    if (entry.state === 'reading') entry.state = 'aborted'
  })
  // The body is read only when something asks for it, so that a fault can leave it on the wire.
  request.pause()
  return entry
}

function answer(request: IncomingMessage, response: ServerResponse, entry: ReceivedRequest): void {
  const [name = '', ...args] = request.url?.split('?')[0]?.split('/__fault/')[1]?.split('/') ?? []
  const fault = FAULTS[name]
  if (fault !== undefined) fault(request, response, args, entry)
  else afterBody(request, () => echo(response, 200, entry))
}

type Fault = (request: IncomingMessage, response: ServerResponse, args: string[], entry: ReceivedRequest) => void

const FAULTS: Readonly<Record<string, Fault>> = {
  status: (request, response, [status], entry) => afterBody(request, () => echo(response, Number(status), entry)),
  hang: request => request.resume(),
  slow: (request, response, [ms], entry) =>
    afterBody(request, () => setTimeout(() => echo(response, 200, entry), Number(ms))),
  reset: request => request.socket.resetAndDestroy(),
  close: request => request.socket.destroy(),
  'reset-body': (request, response) => {
    response.writeHead(200, { 'content-length': 2000 })
    response.write(Buffer.alloc(1000, 'x'), () => setTimeout(() => request.socket.resetAndDestroy(), 20))
  },
  early: (_request, response, [status], entry) => echo(response, Number(status), entry),
  size: (request, response, [bytes]) => afterBody(request, () => sendBytes(response, Number(bytes))),
  chunks: (request, response, [count, size, ms]) =>
    afterBody(request, () => sendChunks(response, Number(count), Number(size), Number(ms ?? 0))),
  raw: (request, _response, [bytes]) => {
    request.socket.write(Buffer.from(bytes ?? '', 'base64url'))
  },
  'raw-close': (request, _response, [bytes]) => {
    request.socket.end(Buffer.from(bytes ?? '', 'base64url'))
  }
}

/** The path that makes the upstream answer with exactly these bytes. */
export function rawAnswerPath(bytes: string, then: 'stay' | 'close' = 'stay'): string {
  return `/__fault/raw${then === 'close' ? '-close' : ''}/${Buffer.from(bytes, 'latin1').toString('base64url')}`
}

function afterBody(request: IncomingMessage, then: () => void): void {
  request.on('end', then)
  request.resume()
}

function echo(response: ServerResponse, status: number, entry: ReceivedRequest): void {
  const { method, url, rawHeaders, bodyLength, bodySha, trailers, nth } = entry
  const echoed: EchoedRequest = { method, url, rawHeaders, bodyLength, bodySha, trailers, nth }
  const body = JSON.stringify(echoed)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

/** Honest about back-pressure: writes only as fast as the reader takes. */
function sendBytes(response: ServerResponse, bytes: number): void {
  const chunk = Buffer.alloc(64 * 1024, 'x')
  let left = bytes
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes })
  const pump = (): void => {
    while (left > 0) {
      const next = left < chunk.length ? chunk.subarray(0, left) : chunk
      left -= next.length
      if (!response.write(next)) {
        response.once('drain', pump)
        return
      }
    }
    response.end()
  }
  pump()
}

function sendChunks(response: ServerResponse, count: number, size: number, ms: number): void {
  response.writeHead(200, { 'content-type': 'application/octet-stream' })
  const chunk = Buffer.alloc(size, 'x')
  let sent = 0
  const next = (): void => {
    if (sent === count || response.destroyed) {
      response.end()
      return
    }
    sent++
    response.write(chunk)
    setTimeout(next, ms)
  }
  next()
}
