/** An upstream that speaks WebSocket: it echoes every frame as it came, and misbehaves when told to. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { CLOSE, type Frame, FrameParser, frame } from './websocket-frames.js'

export interface ServerSocket {
  readonly socket: Socket
  readonly request: IncomingMessage
  readonly frames: Frame[]
}

export interface SocketServer {
  readonly origin: string
  readonly port: number
  /** Handshakes that arrived, oldest first. */
  readonly requests: readonly IncomingMessage[]
  /** WebSockets open now. */
  readonly open: ReadonlySet<ServerSocket>
  /** Called for each frame in place of the echo. */
  onFrame: ((socket: ServerSocket, frame: Frame) => void) | null
  /** Called for each handshake in place of the 101. */
  onHandshake: ((request: IncomingMessage, socket: Socket) => void) | null
  /** Plain requests. Default: 200, 'plain'. */
  respond: (request: IncomingMessage, response: ServerResponse) => void
  /** Added to every 101. */
  readonly headers: string[]
  close: () => Promise<void>
}

type Scope = { teardown: (fn: () => unknown) => unknown }

export interface SocketServerOptions {
  readonly tls?: Pick<ServerOptions, 'key' | 'cert' | 'ca' | 'requestCert'>
}

export async function startSocketServer(scope: Scope, { tls }: SocketServerOptions = {}): Promise<SocketServer> {
  const open = new Set<ServerSocket>()
  const requests: IncomingMessage[] = []
  const sockets = new Set<Socket>()
  const answer = (request: IncomingMessage, response: ServerResponse) => server.respond(request, response)
  const http = tls === undefined ? createServer(answer) : createTlsServer(tls, answer)
  http.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  })
  http.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    requests.push(request)
    socket.on('error', () => {})
    if (server.onHandshake === null) accept(request, socket, head)
    else server.onHandshake(request, socket)
  })

  function accept(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const key = String(request.headers['sec-websocket-key'])
    const protocol = request.headers['sec-websocket-protocol']?.split(',')[0]
    const lines = [
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${acceptFor(key)}`,
      ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
      ...server.headers
    ]
    const parser = new FrameParser()
    const entry: ServerSocket = { socket, request, frames: [] }
    const take = (chunk: Buffer): void => {
      for (const each of parser.push(chunk)) {
        entry.frames.push(each)
        if (server.onFrame !== null) server.onFrame(entry, each)
        else if (each.opcode === CLOSE) socket.end(frame(each.data, CLOSE))
        else socket.write(frame(each.data, each.opcode, { fin: each.fin, reserved: (each.raw[0] as number) & 0x70 }))
      }
    }
    open.add(entry)
    socket.on('close', () => open.delete(entry))
    socket.on('end', () => socket.end())
    socket.write(`${lines.join('\r\n')}\r\n\r\n`)
    if (head.length > 0) take(head)
    socket.on('data', take)
  }

  await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as AddressInfo
  const server: SocketServer = {
    origin: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    port,
    requests,
    open,
    onFrame: null,
    onHandshake: null,
    respond: (_request, response) => response.end('plain'),
    headers: [],
    close: () =>
      new Promise(resolve => {
        http.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      })
  }
  scope.teardown(() => server.close())
  return server
}

/** RFC 6455 section 4.2.2. */
export function acceptFor(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}
