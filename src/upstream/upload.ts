/**
 * A client's body on its way to the upstream, counted. undici must not hold the IncomingMessage itself: it
 * takes the socket off it and destroys it when a call fails, and with it the connection that still has to
 * carry the answer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
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

export class Upload extends Readable {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #awaitsContinue: boolean
  readonly #idleTimeoutMs: number
  #idle: NodeJS.Timeout | undefined
  #bytesLeft: number
  #started = false

  constructor(request: IncomingMessage, response: ServerResponse, options: UploadOptions) {
    super()
    this.#request = request
    this.#response = response
    this.#bytesLeft = options.maxBytes
    this.#awaitsContinue = options.awaitsContinue
    this.#idleTimeoutMs = options.idleTimeoutMs
    // undici takes its listener away when it is done; an error after that is nobody's, but must not be fatal.
    this.on('error', () => {})
  }

  /** Called when the upstream can take a byte, not before: a refused call leaves the body on the wire. */
  override _read(): void {
    if (!this.#started) this.#start()
    this.#request.resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearTimeout(this.#idle)
    // Not 'error': Node emits it later, and an error nobody listens to ends the process.
    this.#request.off('data', this.#onData).off('end', this.#onEnd).pause()
    callback(error)
  }

  #start(): void {
    this.#started = true
    this.#idle = setTimeout(this.#onIdle, this.#idleTimeoutMs)
    if (this.#awaitsContinue) this.#response.writeContinue()
    this.#request.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onError)
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#idle?.refresh()
    this.#bytesLeft -= chunk.length
    if (this.#bytesLeft < 0) this.destroy(new GatewayError('BODY_TOO_LARGE'))
    else if (!this.push(chunk)) this.#request.pause()
  }

  /** undici waits without end for a body that has begun. */
  readonly #onIdle = (): void => {
    // Paused means that the upstream does not read, and the time-outs for that are undici's.
    if (this.#request.isPaused()) this.#idle?.refresh()
    else this.destroy(new GatewayError('BAD_REQUEST', { status: 408, reason: 'upload_stalled' }))
  }

  readonly #onEnd = (): void => {
    clearTimeout(this.#idle)
    this.push(null)
  }

  readonly #onError = (error: Error): void => {
    this.destroy(error)
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
