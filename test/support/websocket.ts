/**
 * The client end of a WebSocket over a plain socket, small enough to send what no library would (RFC 6455).
 *
 *   const client = await openSocket(port, '/a/chat', { cookie, origin })
 *   client.send('hello'); await client.next(); await client.closed
 */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { CLOSE, type Frame, FrameParser, frame, TEXT } from './websocket-frames.js'

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
