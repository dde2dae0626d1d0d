/** A client's body on its way to the upstream, counted, no faster than the upstream takes it. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { GatewayError } from '../errors.js'
import type { RelayRequest } from './relay-request.js'

interface UploadOptions {
  /** Bytes; Infinity: no limit. */
  readonly maxBytes: number
  /** The client sends its body only after a 100 (Continue), which nobody has sent yet. */
  readonly awaitsContinue: boolean
  /** The longest the client may pause. */
  readonly idleTimeoutMs: number
}

export class Upload {
  readonly length: 'announced' | 'unknown'
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #awaitsContinue: boolean
  readonly #idleTimeoutMs: number
  #socket: Socket | null = null
  /** Written together with the first of the body; empty: it is on its way. */
  #head = ''
  #fail: (error: Error) => void = () => {}
  #idle: NodeJS.Timeout | undefined
  #bytesLeft: number
  #movedAt = 0
  #ended = false

  constructor(request: IncomingMessage, response: ServerResponse, options: UploadOptions) {
    this.length = request.headers['transfer-encoding'] === undefined ? 'announced' : 'unknown'
    this.#request = request
    this.#response = response
    this.#bytesLeft = options.maxBytes
    this.#awaitsContinue = options.awaitsContinue
    this.#idleTimeoutMs = options.idleTimeoutMs
  }

  /** All of it is with the upstream's connection. */
  get ended(): boolean {
    return this.#ended
  }

  /** By performance.now(): when the upstream took something of it last, or the client sent something. */
  get movedAt(): number {
    return this.#movedAt
  }

  /** There is more than the upstream takes just now. */
  get isHeldUp(): boolean {
    return this.#socket?.writableNeedDrain === true
  }

  /** Called when the upstream can take a byte, not before: a refused call leaves the body on the wire. */
  start(socket: Socket, head: string, fail: (error: Error) => void): void {
    this.#socket = socket
    this.#head = head
    this.#fail = fail
    this.#idle = setTimeout(this.#onIdle, this.#idleTimeoutMs)
    if (this.#awaitsContinue) this.#response.writeContinue()
    this.#request.on('data', this.#onData).on('end', this.#onRequestEnd).on('error', this.#onError)
    socket.on('drain', this.#onDrain)
    this.#request.resume()
  }

  /** Whatever is still to come of it stays with the client. */
  stop(): void {
    if (this.#socket === null) return
    clearTimeout(this.#idle)
    this.#socket.off('drain', this.#onDrain)
    this.#socket = null
    this.#request.off('data', this.#onData).off('end', this.#onRequestEnd)
    if (!this.#ended) this.#request.pause()
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#idle?.refresh()
    this.#movedAt = performance.now()
    this.#bytesLeft -= chunk.length
    if (this.#bytesLeft < 0) this.#fail(new GatewayError('BODY_TOO_LARGE'))
    else if (!this.#write(chunk)) this.#request.pause()
  }

  #write(chunk: Buffer): boolean {
    const socket = this.#socket as Socket
    socket.cork()
    if (this.length === 'announced') {
      this.#writeBefore('')
      socket.write(chunk)
    } else {
      this.#writeBefore(`${chunk.length.toString(16)}\r\n`)
      socket.write(chunk)
      socket.write('\r\n', 'latin1')
    }
    socket.uncork()
    return !socket.writableNeedDrain
  }

  #writeBefore(framing: string): void {
    const text = this.#head + framing
    this.#head = ''
    if (text !== '') this.#socket?.write(text, 'latin1')
  }

  readonly #onDrain = (): void => {
    this.#movedAt = performance.now()
    this.#request.resume()
  }

  /** Nobody else waits for the end of a body that has begun. */
  readonly #onIdle = (): void => {
    // Paused means that the upstream does not read, and the time-outs for that are the connection's.
    if (this.#request.isPaused()) this.#idle?.refresh()
    else this.#fail(new GatewayError('BAD_REQUEST', { status: 408, reason: 'upload_stalled' }))
  }

  readonly #onRequestEnd = (): void => {
    this.#ended = true
    this.#movedAt = performance.now()
    clearTimeout(this.#idle)
    if (this.length === 'unknown') this.#writeBefore('0\r\n\r\n')
  }

  readonly #onError = (error: Error): void => {
    if (this.#socket !== null) this.#fail(error)
  }
}

/** RFC 9112 section 6.3: a body is announced by either of these. */
function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || announcedLength(headers['content-length']) > 0
}

export function announcedLength(contentLength: string | undefined): number {
  return contentLength === undefined ? 0 : Number(contentLength)
}

/** Null: the request has none. */
export function uploadOf({ request, response, upstream, awaitsContinue }: RelayRequest): Upload | null {
  const { maxBodyBytes, idleTimeoutMs } = upstream
  const limits = { maxBytes: maxBodyBytes ?? Number.POSITIVE_INFINITY, idleTimeoutMs, awaitsContinue }
  return hasBody(request) ? new Upload(request, response, limits) : null
}
