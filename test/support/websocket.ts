/**
 * Both ends of a WebSocket over plain sockets, small enough to send what no library would (RFC 6455).
 *
 *   const server = await startSocketServer(t)                  // an upstream that echoes every frame as it came
 *   const client = await openSocket(port, '/a/chat', { cookie })
 *   client.send('hello'); await client.next(); await client.closed
 */
import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'

export const TEXT = 1
export const BINARY = 2
export const CLOSE = 8
export const PING = 9

export interface Frame {
  readonly fin: boolean
  readonly opcode: number
  readonly data: Buffer
  /** The frame as it came over the wire. */
  readonly raw: Buffer
}

/** `first`: the whole first byte, with reserved bits where a test wants them. */
export function frame(data: Buffer | string, opcode = TEXT, { fin = true, masked = false, reserved = 0 } = {}): Buffer {
  const payload = Buffer.from(data as string)
  const length = payload.length
  const header = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  header[0] = (fin ? 0x80 : 0) | reserved | opcode
  header[1] = (masked ? 0x80 : 0) | (length < 126 ? length : length < 65_536 ? 126 : 127)
  if (header.length === 4) header.writeUInt16BE(length, 2)
  if (header.length === 10) header.writeBigUInt64BE(BigInt(length), 2)
  if (!masked) return Buffer.concat([header, payload])
  const mask = randomBytes(4)
  return Buffer.concat([header, mask, payload.map((byte, i) => byte ^ (mask[i % 4] as number))])
}

/** Bytes in, frames out. */
export class FrameParser {
  #bytes = Buffer.alloc(0)

  push(chunk: Buffer): Frame[] {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    const frames: Frame[] = []
    for (let next = this.#shift(); next !== null; next = this.#shift()) frames.push(next)
    return frames
  }

  #shift(): Frame | null {
    const bytes = this.#bytes
    if (bytes.length < 2) return null
    const [first, second] = bytes as unknown as [number, number]
    const extra = (second & 0x7f) === 126 ? 2 : (second & 0x7f) === 127 ? 8 : 0
    const start = 2 + extra + (second & 0x80 ? 4 : 0)
    if (bytes.length < start) return null
    const length = extra === 0 ? second & 0x7f : extra === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
    if (bytes.length < start + length) return null
    const raw = bytes.subarray(0, start + length)
    this.#bytes = bytes.subarray(start + length)
    const mask = second & 0x80 ? raw.subarray(start - 4, start) : null
    const data = raw.subarray(start)
    const clear = mask === null ? data : Buffer.from(data.map((byte, i) => byte ^ (mask[i % 4] as number)))
    return { fin: (first & 0x80) !== 0, opcode: first & 0x0f, data: clear, raw }
  }
}

export interface SocketOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly cookie?: string
  readonly origin?: string
  /** Sent in the same packet as the handshake. */
  readonly early?: Buffer
}

export interface Answer {
  readonly status: number
  /** Lower-case names; several lines of one name are joined by `, `. */
  readonly headers: Readonly<Record<string, string>>
}

export class TestSocket {
  readonly socket: Socket
  readonly key: string
  /** Of the handshake; null when the connection ended without one. */
  readonly answer: Promise<Answer | null>
  /** After a refusal: its body. */
  body = ''
  readonly frames: Frame[] = []
  /** Every byte after the handshake. */
  readonly received: Buffer[] = []
  /** How it ended: the close frame's code, 1005 without one, 1006 for a reset. */
  readonly closed: Promise<{ code: number; reason: string }>
  readonly #parser = new FrameParser()
  #head: Buffer | null = Buffer.alloc(0)
  #waiting: (() => void)[] = []
  #answered: (answer: Answer | null) => void = () => {}
  #isSocket = false

  constructor(socket: Socket, key: string) {
    this.socket = socket
    this.key = key
    this.answer = new Promise(resolve => {
      this.#answered = resolve
    })
    this.closed = new Promise(resolve => {
      let failed = false
      socket.on('error', () => {
        failed = true
      })
      socket.on('end', () => socket.end())
      socket.on('close', () => {
        this.#answered(null)
        this.#wake()
        const last = this.frames.find(({ opcode }) => opcode === CLOSE)
        if (last === undefined) resolve({ code: failed ? 1006 : 1005, reason: '' })
        else resolve({ code: last.data.readUInt16BE(0), reason: last.data.toString('utf8', 2) })
      })
    })
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
  }

  send(data: Buffer | string, opcode = TEXT, options: { fin?: boolean; reserved?: number } = {}): void {
    this.socket.write(frame(data, opcode, { ...options, masked: true }))
  }

  /** The oldest frame nobody has asked for yet. */
  async next(): Promise<Frame> {
    while (this.frames.length === 0) {
      if (this.socket.destroyed) throw new Error('the connection ended')
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    }
    return this.frames.shift() as Frame
  }

  #take(chunk: Buffer): void {
    if (this.#head === null) {
      this.#takeBody(chunk)
      return
    }
    this.#head = Buffer.concat([this.#head, chunk])
    const end = this.#head.indexOf('\r\n\r\n')
    if (end < 0) return
    const [statusLine = '', ...lines] = this.#head.toString('latin1', 0, end).split('\r\n')
    const rest = this.#head.subarray(end + 4)
    this.#head = null
    const headers: Record<string, string> = {}
    for (const line of lines) {
      const name = line.slice(0, line.indexOf(':')).toLowerCase()
      const value = line.slice(line.indexOf(':') + 1).trim()
      headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`
    }
    const status = Number(statusLine.split(' ')[1])
    this.#isSocket = status === 101
    if (rest.length > 0) this.#takeBody(rest)
    this.#answered({ status, headers })
  }

  #takeBody(chunk: Buffer): void {
    if (!this.#isSocket) {
      this.body += chunk.toString('utf8')
      return
    }
    this.received.push(chunk)
    this.frames.push(...this.#parser.push(chunk))
    this.#wake()
  }

  #wake(): void {
    for (const waiting of this.#waiting.splice(0)) waiting()
  }
}

/** Sends the handshake; look at `answer` for what came of it. */
export function dial(port: number, path: string, options: SocketOptions = {}): TestSocket {
  const key = randomBytes(16).toString('base64')
  const { cookie, origin } = options
  const headers: Record<string, string> = {
    Host: `localhost:${port}`,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': key,
    ...(cookie !== undefined && { Cookie: cookie }),
    ...(origin !== undefined && { Origin: origin }),
    ...options.headers
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.write(
    Buffer.concat([Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`), options.early ?? Buffer.alloc(0)])
  )
  return new TestSocket(socket, key)
}

/** A WebSocket that stands. */
export async function openSocket(port: number, path: string, options: SocketOptions = {}): Promise<TestSocket> {
  const socket = dial(port, path, options)
  const answer = await socket.answer
  if (answer?.status !== 101) throw new Error(`the handshake was answered ${answer?.status}: ${socket.body}`)
  return socket
}

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
  readonly tls?: { readonly key: string; readonly cert: string }
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
