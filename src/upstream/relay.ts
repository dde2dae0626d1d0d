/**
 * One request to an upstream and its answer back, streamed both ways with back-pressure. Synchronous up to the
 * socket and free of promises: undici's raw handler hands over header buffers and chunks, and an answer that
 * arrives in one piece leaves in one piece (half the CPU time of @fastify/http-proxy, measured 2026-11).
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import { GatewayError } from '../errors.js'
import { forgetGone, whenGone } from './client-gone.js'
import type { Connection } from './connections.js'
import { endWith } from './end-with.js'
import { closeGently, isClosing } from './gentle-close.js'
import { PacedWriter } from './paced-writer.js'
import { type AnswerPolicy, answerHead, hasNoContent } from './response-headers.js'
import { maySendAgain } from './retry.js'
import { announcedLength, hasBody, Upload } from './upload.js'
import { upstreamError } from './upstream-error.js'
import type { Call, Upstream } from './upstream-pool.js'

export interface RelayRequest {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly upstream: Upstream
  /** Canonical path and untouched query. */
  readonly path: string
  /** Complete flat list, see `requestHeaders`. */
  readonly headers: string[]
  readonly policy: AnswerPolicy
  /** True when the server's `checkContinue` event brought the request: no 100 (Continue) has been sent. */
  readonly awaitsContinue: boolean
}

export interface RelayOutcome {
  /**
   * answered: the upstream's answer was passed on, whatever its status;
   * failed: nothing reached the client, the caller answers `error`;
   * cut: the upstream died in the middle of its answer and the client's connection was destroyed, `error` says why;
   * aborted: the client went away first.
   */
  readonly end: 'answered' | 'failed' | 'cut' | 'aborted'
  readonly error: GatewayError | null
  /** From the first try to the end, milliseconds. */
  readonly upstreamMs: number
}

/** `done` is called exactly once, in every case. */
export function relay(call: RelayRequest, done: (outcome: RelayOutcome) => void): void {
  const { request, upstream } = call
  if (isClosing(request)) {
    done({ end: 'aborted', error: null, upstreamMs: 0 })
    return
  }
  if (upstream.maxBodyBytes !== null && announcedLength(request.headers['content-length']) > upstream.maxBodyBytes) {
    closeGently(call.request, call.response)
    done({ end: 'failed', error: new GatewayError('BODY_TOO_LARGE'), upstreamMs: 0 })
    return
  }
  new Relay(call, done).start()
}

class Relay implements Call, Dispatcher.DispatchHandler {
  readonly #call: RelayRequest
  readonly #done: (outcome: RelayOutcome) => void
  readonly #startedAt = performance.now()
  readonly #upload: Upload | null
  #connection: Connection | null = null
  #resume: (() => void) | null = null
  /** Null until a body comes in more than one piece. */
  #writer: PacedWriter | null = null
  #contentLength = -1
  #answering = false
  #settled = false

  constructor(call: RelayRequest, done: (outcome: RelayOutcome) => void) {
    const { request, response, upstream, awaitsContinue } = call
    this.#call = call
    this.#done = done
    const { maxBodyBytes, idleTimeoutMs } = upstream
    const limits = { maxBytes: maxBodyBytes ?? Number.POSITIVE_INFINITY, idleTimeoutMs, awaitsContinue }
    this.#upload = hasBody(request) ? new Upload(request, response, limits) : null
  }

  start(): void {
    whenGone(this.#call.request, this.#call.response, this.#onClientGone)
    this.#call.upstream.submit(this)
  }

  send(connection: Connection): void {
    const { request, path, headers } = this.#call
    this.#connection = connection
    const method = request.method as Dispatcher.HttpMethod
    connection.send({ method, path, headers, body: this.#upload }, this)
  }

  refuse(error: GatewayError): void {
    this.#fail(error)
  }

  /** undici demands it. */
  onConnect(): void {}

  onResponseStarted(): void {
    this.#answering = true
  }

  /** Node holds the head back until the first write, so that it leaves together with the body's first chunk. */
  onHeaders(status: number, rawHeaders: Buffer[], resume: () => void): boolean {
    // Interim answers are for the next hop, which is us: RFC 9110 section 15.2.
    if (status < 200) return true
    const { request, response, policy } = this.#call
    const { headers, contentLength } = answerHead(status, rawHeaders, policy)
    this.#contentLength = contentLength
    this.#resume = resume
    if (this.#upload !== null && !request.complete) closeGently(request, response)
    response.writeHead(status, headers)
    if (hasNoContent(request.method, status)) this.#finish()
    else flushSoon(this)
    return true
  }

  onData(chunk: Buffer): boolean {
    if (this.#settled) return true
    const { response, upstream } = this.#call
    if (this.#writer === null && chunk.length === this.#contentLength) {
      endWith(response, chunk)
      this.#settle('answered', null)
      return true
    }
    this.#writer ??= new PacedWriter(response, () => this.#resume?.(), upstream.idleTimeoutMs)
    return this.#writer.write(chunk)
  }

  onComplete(): void {
    const connection = this.#connection as Connection
    connection.answered()
    if (!this.#settled) this.#finish()
    this.#call.upstream.release(connection)
  }

  onError(error: Error): void {
    const connection = this.#connection as Connection
    const untouched = !this.#settled && !this.#answering && this.#upload === null
    if (untouched && maySendAgain(this.#call.request.method, error, connection)) {
      this.send(connection)
      return
    }
    connection.kill()
    this.#call.upstream.release(connection)
    this.#fail(upstreamError(error))
  }

  /** An answer whose body is slow to come (server-sent events) shows its head at once. */
  flushHead(): void {
    if (this.#writer === null && !this.#settled) this.#call.response.flushHeaders()
  }

  #finish(): void {
    this.#call.response.end()
    this.#settle('answered', null)
  }

  readonly #onClientGone = (): void => {
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
    forgetGone(this.#call.request, this.#call.response, this.#onClientGone)
    this.#done({ end, error, upstreamMs: performance.now() - this.#startedAt })
  }
}

/** Relays whose head is out and whose body has not begun: nearly all of them are done by the end of the turn. */
let heads: Relay[] = []

function flushSoon(relay: Relay): void {
  if (heads.length === 0) setImmediate(flushHeads)
  heads.push(relay)
}

function flushHeads(): void {
  const waiting = heads
  heads = []
  for (const relay of waiting) relay.flushHead()
}
