/**
 * One request to an upstream and its answer back, streamed both ways with back-pressure. Synchronous and free of
 * promises up to the end of the turn; an answer that arrives in one piece leaves in one piece.
 */
import type { Socket } from 'node:net'
import { GatewayError } from '../errors.js'
import { whenGone } from './client-gone.js'
import type { Connection } from './connection.js'
import { atEndOfTurn } from './end-of-turn.js'
import { endWith } from './end-with.js'
import { closeGently, isClosing } from './gentle-close.js'
import type { CallListener } from './outgoing-call.js'
import { PacedWriter } from './paced-writer.js'
import { answerHead, hasNoContent } from './response-headers.js'
import type { RelayOutcome, RelayRequest } from './relay-request.js'
import { mayRetry, maySendAgain } from './retry.js'
import type { Target } from './target.js'
import { announcedLength, type Upload, uploadOf } from './upload.js'
import { NotSent, upstreamError } from './upstream-error.js'
import type { Call } from './upstream-pool.js'

/** `done` is called exactly once, in every case. */
export function relay(call: RelayRequest, done: (outcome: RelayOutcome) => void): void {
  const { request, response, upstream } = call
  // Gone while its session was looked up: nothing would say so again, and its body would be waited for.
  if (request.socket.destroyed || isClosing(request)) return done({ end: 'aborted', error: null, upstreamMs: 0 })
  if (upstream.maxBodyBytes !== null && announcedLength(request.headers['content-length']) > upstream.maxBodyBytes) {
    closeGently(request, response)
    return done({ end: 'failed', error: new GatewayError('BODY_TOO_LARGE'), upstreamMs: 0 })
  }
  new Relay(call, done).start()
}

class Relay implements Call, CallListener {
  readonly #call: RelayRequest
  readonly #done: (outcome: RelayOutcome) => void
  readonly #startedAt = performance.now()
  readonly #upload: Upload | null
  avoid: Target | null = null
  #connection: Connection | null = null
  #sentAt = 0
  #retries = 0
  #moves = 0
  /** Null until a body comes in more than one piece. */
  #writer: PacedWriter | null = null
  #contentLength = -1
  #headers: readonly string[] = []
  /** The body of an answer that came in one piece. */
  #whole: Buffer | null = null
  #isLeaving = false
  #streamEnded: (() => void) | null = null
  #forgetClient: (() => void) | null = null
  #answering = false
  #settled = false

  constructor(call: RelayRequest, done: (outcome: RelayOutcome) => void) {
    this.#call = call
    this.#done = done
    this.#upload = uploadOf(call)
  }

  start(): void {
    this.#forgetClient = whenGone(this.#call.request, this.#call.response, this.#onClientGone)
    this.#call.upstream.retries.noteCall(this.#startedAt)
    this.#call.upstream.submit(this)
  }

  send(connection: Connection): void {
    const { request, path, fields, upstream, onSwitch } = this.#call
    this.#connection = connection
    this.#sentAt = performance.now()
    const headersTimeoutMs = this.avoid === null ? upstream.headersTimeoutMs : upstream.retries.leftMs(this.#startedAt)
    const method = request.method as string
    const hasLength = request.headers['content-length'] !== undefined
    const call = { method, path, fields, hasLength, switches: onSwitch !== null, upload: this.#upload, headersTimeoutMs }
    connection.send(call, this)
  }

  refuse(error: GatewayError): void {
    this.#fail(error)
  }

  onStart(): void {
    this.#answering = true
  }

  /** Node holds the head back until the first write, so that it leaves together with the body's first chunk. */
  onHead(status: number, rawHeaders: string[]): void {
    this.#connection?.target.health.answered(this.#sentAt)
    const { request, response, policy } = this.#call
    const { headers, contentLength } = answerHead(status, rawHeaders, policy)
    this.#contentLength = contentLength
    this.#headers = headers
    if (this.#upload !== null && !request.complete) closeGently(request, response)
    response.writeHead(status, headers)
    if (hasNoContent(request.method, status)) this.#finish()
    else this.#leaveSoon()
  }

  onBody(chunk: Buffer): void {
    if (this.#settled) return
    const { response, upstream } = this.#call
    if (this.#writer === null && chunk.length === this.#contentLength) {
      this.#whole = chunk
      this.#leaveSoon()
      this.#settle('answered', null)
      return
    }
    if (this.#writer === null) {
      this.#writer = new PacedWriter(response, () => this.#connection?.resume(), upstream.idleTimeoutMs)
      this.#streamEnded ??= this.#call.onStream(this.#headers)
    }
    if (!this.#writer.write(chunk)) this.#connection?.pause()
  }

  onSwitch(rawHeaders: string[], socket: Socket): void {
    const connection = this.#connection as Connection
    connection.target.health.answered(this.#sentAt)
    const error = this.#settled ? null : this.#call.onSwitch?.(rawHeaders, socket)
    this.#call.upstream.release(connection)
    if (this.#settled || error) socket.destroy()
    if (error) this.#fail(error)
    else if (!this.#settled) this.#settle('switched', null)
  }

  onEnd(): void {
    const connection = this.#connection as Connection
    if (!this.#settled) this.#finish()
    this.#call.upstream.release(connection)
  }

  onError(error: Error): void {
    const connection = this.#connection as Connection
    const untouched = !this.#settled && !this.#answering && this.#upload === null
    const { request, response, upstream } = this.#call
    // What has not left is not sent twice: it is nothing the target could have too much of.
    const isFree = error instanceof NotSent
    if (untouched && maySendAgain(request.method, error, connection) && (isFree || upstream.mayRepeat())) {
      this.send(connection)
      return
    }
    const failure = upstreamError(error)
    connection.kill()
    if (!this.#settled && !response.headersSent) connection.target.blame(failure, this.#sentAt, connection)
    upstream.release(connection)
    if (!untouched || !mayRetry(request.method, error, connection) || !this.#tryAgain(connection)) this.#fail(failure)
  }

  /** Another target costs nobody anything where the connection to the first did not come about. */
  #tryAgain({ target, wasConnected }: Connection): boolean {
    const { upstream } = this.#call
    const moves = !wasConnected && this.#moves++ < upstream.targets.all - 1
    const delayMs = moves ? 0 : upstream.retries.delayMs(this.#retries++, this.#startedAt)
    if (delayMs === null) return false
    this.avoid = target
    setTimeout(() => this.#settled || upstream.submit(this), delayMs)
    return true
  }

  leave(): void {
    const { response, onStream } = this.#call
    this.#isLeaving = false
    if (this.#whole !== null && !response.destroyed) endWith(response, this.#whole)
    if (this.#writer !== null || this.#settled) return
    // An answer whose body is slow to come (server-sent events) shows its head at once.
    response.flushHeaders()
    this.#streamEnded ??= onStream(this.#headers)
  }

  #leaveSoon(): void {
    if (this.#isLeaving) return
    this.#isLeaving = true
    atEndOfTurn(this)
  }

  #finish(): void {
    this.#call.response.end()
    this.#settle('answered', null)
  }

  readonly #onClientGone = (): void => {
    if (this.#settled) return
    this.#settle('aborted', null)
    if (!this.#call.upstream.withdraw(this)) this.#connection?.kill()
  }

  #fail(error: GatewayError): void {
    if (this.#settled) return
    const { request, response } = this.#call
    if (response.headersSent) {
      // A fake ending would make half an answer look whole.
      this.#settle('cut', error)
      response.destroy()
      return
    }
    if (this.#upload !== null && !request.complete) closeGently(request, response)
    this.#settle('failed', error)
  }

  #settle(end: RelayOutcome['end'], error: GatewayError | null): void {
    this.#settled = true
    this.#writer?.stop()
    this.#streamEnded?.()
    this.#forgetClient?.()
    this.#done({ end, error, upstreamMs: performance.now() - this.#startedAt })
  }
}
