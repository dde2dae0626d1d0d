/**
 * HTTP/1.1 on one open socket to a target, one call at a time: the request goes out, its answer is handed on as it
 * comes. Synchronous and free of promises; nothing is allocated for a call but its head and its answer's.
 */
import type { Socket } from 'node:net'
import { AnswerParser } from './answer-parser.js'
import { idleMs, lifeMs } from './connection-age.js'
import { Deadline } from './deadline.js'
import { atEndOfTurn } from './end-of-turn.js'
import type { CallListener, OutgoingCall } from './outgoing-call.js'
import { STALLED_AFTER } from './paced-writer.js'
import { requestHead } from './request-head.js'
import type { Target } from './target.js'
import { lostConnection, NotSent, timedOut } from './upstream-error.js'

export class Wire {
  readonly #socket: Socket
  readonly #target: Target
  readonly #onGone: () => void
  readonly #parser: AnswerParser
  readonly #deadline: Deadline
  readonly #oldAt = performance.now() + lifeMs()
  #call: OutgoingCall | null = null
  #listener: CallListener | null = null
  #lastError: NodeJS.ErrnoException | null = null
  #switchedHead: string[] = []
  /** Of the call, until it leaves. */
  #head = ''
  #answering = false
  #headIsHere = false
  #paused = false
  #served = 0

  /** `onGone`: nothing more can be sent here. It is called before whoever waits for an answer hears of it. */
  constructor(socket: Socket, target: Target, onGone: () => void) {
    this.#socket = socket
    this.#target = target
    this.#onGone = onGone
    this.#parser = new AnswerParser({ onHead: this.#onHead, onBody: this.#onBody })
    this.#deadline = new Deadline(this.#onDeadline)
    socket.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onError).on('close', this.#onClose)
  }

  get hasServed(): boolean {
    return this.#served > 0
  }

  get isOld(): boolean {
    return performance.now() > this.#oldAt
  }

  send(call: OutgoingCall, listener: CallListener): void {
    const { method, switches, upload, headersTimeoutMs } = call
    this.#call = call
    this.#listener = listener
    this.#answering = false
    this.#headIsHere = false
    this.#paused = false
    this.#parser.begin(method, switches)
    this.#expect(headersTimeoutMs)
    try {
      const head = requestHead(this.#target.authority, call, upload === null ? null : upload.length)
      if (upload !== null) return upload.start(this.#socket, head, this.#onUploadError)
      this.#head = head
      atEndOfTurn(this)
    } catch (error) {
      this.end(error as Error)
    }
  }

  leave(): void {
    // The call may have ended with the turn, or the connection with it.
    if (this.#head === '') return
    if (!this.#socket.writable) return this.end(lostConnection())
    this.#socket.write(this.#head, 'latin1')
    this.#head = ''
  }

  /** After `onBody` got more than it can take: no more of it until `resume`. A few pieces may still come. */
  pause(): void {
    this.#paused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#paused = false
    this.#expect(this.#target.idleTimeoutMs)
    this.#socket.resume()
  }

  /** Closes it; a call on it fails with `error`. */
  end(error: Error): void {
    const [call, listener, isUnsent] = [this.#call, this.#listener, this.#head !== '']
    this.#close()
    call?.upload?.stop()
    listener?.onError(isUnsent ? new NotSent() : error)
  }

  readonly #onUploadError = (error: Error): void => this.end(error)

  readonly #onData = (chunk: Buffer): void => {
    const listener = this.#listener
    // Bytes that nobody asked for: whose answer they are cannot be known.
    if (listener === null) return this.#close()
    if (this.#head !== '') return this.end(lostConnection())
    if (!this.#answering) {
      this.#answering = true
      listener.onStart()
    }
    let used: number
    try {
      used = this.#parser.push(chunk)
    } catch (error) {
      return this.end(error as Error)
    }
    // It may have been closed by whoever heard of the answer.
    if (listener !== this.#listener) return
    if (!this.#parser.done) {
      if (this.#headIsHere) this.#expect(this.#target.idleTimeoutMs)
    } else if (this.#parser.switched) this.#handOver(chunk.subarray(used), listener)
    else this.#complete(used === chunk.length, listener)
  }

  readonly #onHead = (status: number, headers: string[]): void => {
    this.#headIsHere = true
    if (this.#parser.switched) this.#switchedHead = headers
    else this.#listener?.onHead(status, headers)
  }

  readonly #onBody = (piece: Buffer): void => this.#listener?.onBody(piece)

  #complete(isWhole: boolean, listener: CallListener): void {
    const call = this.#call as OutgoingCall
    this.#call = null
    this.#listener = null
    this.#served++
    const keepMs = isWhole ? this.#keepMs(call) : 0
    call.upload?.stop()
    if (keepMs > 0) this.#expect(keepMs)
    else this.#close()
    if (this.#paused) this.#socket.resume()
    listener.onEnd()
  }

  /** 0 where the next answer could be mistaken: an unfinished request, a body behind an answer to HEAD. */
  #keepMs({ upload, method, switches }: OutgoingCall): number {
    const { keepsAlive, keepAliveMs } = this.#parser
    return !keepsAlive || switches || method === 'HEAD' || upload?.ended === false ? 0 : idleMs(keepAliveMs)
  }

  #handOver(rest: Buffer, listener: CallListener): void {
    this.#detach()
    if (rest.length > 0) this.#socket.unshift(rest)
    try {
      listener.onSwitch(this.#switchedHead, this.#socket)
    } catch (error) {
      this.#socket.on('error', () => {}).destroy()
      listener.onError(error as Error)
    }
  }

  #expect(withinMs: number): void {
    this.#deadline.set(performance.now() + withinMs)
  }

  readonly #onDeadline = (): void => {
    const call = this.#call
    if (call === null) return this.#close()
    const moreMs = this.#patienceMs(call)
    if (moreMs > 0) this.#expect(moreMs)
    else this.end(timedOut(this.#headIsHere ? 'body_timeout' : 'headers_timeout'))
  }

  /** How much longer to wait for the upstream. While it is the client's turn, others watch the time. */
  #patienceMs({ upload, headersTimeoutMs }: OutgoingCall): number {
    const limitMs = this.#headIsHere ? this.#target.idleTimeoutMs : headersTimeoutMs
    if (this.#paused) return limitMs
    if (upload === null) return 0
    if (upload.ended) return this.#headIsHere ? 0 : upload.movedAt + limitMs - performance.now()
    return upload.isHeldUp ? upload.movedAt + STALLED_AFTER * limitMs - performance.now() : limitMs
  }

  readonly #onEnd = (): void => {
    const listener = this.#listener
    if (listener !== null && this.#parser.end()) this.#complete(false, listener)
    else this.end(lostConnection())
  }

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.#lastError = error
  }

  readonly #onClose = (): void => this.end(this.#lastError ?? lostConnection())

  #close(): void {
    this.#detach()
    this.#socket.on('error', () => {}).destroy()
  }

  #detach(): void {
    this.#call = null
    this.#head = ''
    this.#listener = null
    this.#deadline.stop()
    this.#socket.off('data', this.#onData).off('end', this.#onEnd)
    this.#socket.off('error', this.#onError).off('close', this.#onClose)
    this.#onGone()
  }
}
