/**
 * A client that sends the bytes it is given and reports the bytes it gets: for what no HTTP library would send.
 *
 *   const [answer] = await exchange(port, 'GET /x HTTP/1.1\r\nHost: gw.test\r\n\r\n')
 *   const connection = await RawConnection.open(port); connection.send(…); await connection.answer()
 */
import { connect, type Socket } from 'node:net'

export interface RawAnswer {
  readonly status: number
  readonly reason: string
  /** As they came, flat. */
  readonly rawHeaders: readonly string[]
  /** First value of a lower-case name; `all` gives every line. */
  header: (name: string) => string | undefined
  all: (name: string) => string[]
  readonly body: Buffer
  /** Trailer lines after a chunked body. */
  readonly trailers: readonly string[]
}

const DEADLINE_MS = 10_000

export class RawConnection {
  readonly #socket: Socket
  #chunks: Buffer[] = []
  #ended = false
  #failure: Error | null = null
  #waiting: (() => void)[] = []

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#wake()
    })
    socket.on('end', () => this.#finish(null))
    socket.on('error', error => this.#finish(error))
    socket.on('close', () => this.#finish(null))
  }

  static open(port: number, host = '127.0.0.1'): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      // Half open: a server that ends its half must not end ours.
      const socket = connect({ port, host, allowHalfOpen: true, noDelay: true }, () => {
        socket.off('error', reject)
        resolve(new RawConnection(socket))
      })
      socket.once('error', reject)
    })
  }

  /** Strings are sent as latin1, so that '\x80' is one byte. Resolves when the kernel has taken them. */
  send(bytes: string | Buffer): Promise<void> {
    const chunk = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes
    return new Promise(resolve => this.#socket.write(chunk, () => resolve()))
  }

  /** The next final answer. `method` of its request: the answer to HEAD has no body. */
  async answer(method = 'GET'): Promise<RawAnswer> {
    for (;;) {
      const answer = await this.#next(method)
      if (answer.status >= 200) return answer
    }
  }

  /** The next answer, 1xx included. */
  async interim(): Promise<RawAnswer> {
    return this.#next('HEAD')
  }

  /** Resolves with 'end' or 'reset' when the server has closed its half. */
  async closed(): Promise<'end' | 'reset'> {
    await this.#until(() => this.#ended)
    return this.#failure === null ? 'end' : 'reset'
  }

  /** What has arrived and was not read as an answer. */
  get unread(): string {
    return this.#bytes.toString('latin1')
  }

  /** Resolves when that many unread bytes are there, or the server has closed. */
  async received(length: number): Promise<void> {
    const count = (): number => this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    await this.#until(() => count() >= length || this.#ended)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  reset(): void {
    this.#socket.resetAndDestroy()
  }

  /** Joined only when somebody looks: a download nobody reads costs nothing. */
  get #bytes(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0] ?? Buffer.alloc(0)
  }

  async #next(method: string): Promise<RawAnswer> {
    let answer: { value: RawAnswer; length: number } | null = null
    await this.#until(() => {
      answer = parseAnswer(this.#bytes, method, this.#ended)
      return answer !== null || this.#ended
    })
    // Assigned in the closure above.
    const parsed = answer as { value: RawAnswer; length: number } | null
    if (parsed === null) {
      throw new Error(`connection closed (${this.#failure?.message ?? 'end'}) after ${JSON.stringify(this.unread)}`)
    }
    this.#chunks = [this.#bytes.subarray(parsed.length)]
    return parsed.value
  }

  async #until(condition: () => boolean): Promise<void> {
    const deadline = setTimeout(() => this.#socket.destroy(new Error('deadline')), DEADLINE_MS)
    while (!condition()) {
      await new Promise<void>(resolve => {
        this.#waiting.push(resolve)
      })
    }
    clearTimeout(deadline)
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  #finish(error: Error | null): void {
    this.#failure ??= error
    this.#ended = true
    this.#wake()
  }
}

/** Sends the bytes on a connection of their own and reads one answer per method given. */
export async function exchange(port: number, bytes: string | Buffer, methods: readonly string[] = ['GET']) {
  const connection = await RawConnection.open(port)
  try {
    void connection.send(bytes)
    const answers: RawAnswer[] = []
    for (const method of methods) answers.push(await connection.answer(method))
    return answers as [RawAnswer, ...RawAnswer[]]
  } finally {
    connection.destroy()
  }
}

/** Null while the answer is incomplete. Without framing the answer ends with the connection. */
function parseAnswer(bytes: Buffer, method: string, ended: boolean): { value: RawAnswer; length: number } | null {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd < 0) return null
  const [statusLine = '', ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n')
  const [, status = '0', reason = ''] = /^HTTP\/1\.[01] (\d{3}) ?(.*)$/.exec(statusLine) ?? []
  const rawHeaders = lines.flatMap(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()])
  const all = (name: string) =>
    rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name.toLowerCase())
  const head = { status: Number(status), reason, rawHeaders, all, header: (name: string) => all(name)[0] }

  const start = headEnd + 4
  const body = parseBody(bytes.subarray(start), head, method, ended)
  return body === null
    ? null
    : { value: { ...head, body: body.data, trailers: body.trailers }, length: start + body.length }
}

type Body = { data: Buffer; trailers: string[]; length: number }

function parseBody(
  rest: Buffer,
  { status, header }: Pick<RawAnswer, 'status' | 'header'>,
  method: string,
  ended: boolean
): Body | null {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) {
    return { data: Buffer.alloc(0), trailers: [], length: 0 }
  }
  if (header('transfer-encoding') === 'chunked') return parseChunks(rest)
  const announced = header('content-length')
  if (announced === undefined) return ended ? { data: rest, trailers: [], length: rest.length } : null
  const length = Number(announced)
  return rest.length < length ? null : { data: rest.subarray(0, length), trailers: [], length }
}

function parseChunks(rest: Buffer): Body | null {
  const parts: Buffer[] = []
  let at = 0
  for (;;) {
    const lineEnd = rest.indexOf('\r\n', at)
    if (lineEnd < 0) return null
    const size = Number.parseInt(rest.toString('latin1', at, lineEnd), 16)
    if (size === 0) {
      const end = rest.indexOf('\r\n\r\n', lineEnd)
      if (end < 0) return null
      const trailers = rest.toString('latin1', lineEnd + 2, Math.max(end, lineEnd + 2))
      return { data: Buffer.concat(parts), trailers: trailers === '' ? [] : trailers.split('\r\n'), length: end + 4 }
    }
    at = lineEnd + 2 + size + 2
    if (rest.length < at) return null
    parts.push(rest.subarray(lineEnd + 2, lineEnd + 2 + size))
  }
}
