/**
 * Reads an upstream's answers, HTTP/1.0 and 1.1, as strictly as RFC 9112 allows: whatever two readers could take for
 * two different messages is refused, nothing is repaired. `test/unit/upstream/answer-parser.test.ts` compares it with
 * Node's own parser on generated answers, whole and cut into pieces.
 */
import { badAnswer, type ReceivedHead, readHead } from './answer-head.js'
import { ChunkedBody } from './chunked-body.js'

/** What hears of one answer, in this order. Interim answers (1xx) are skipped: RFC 9110 section 15.2. */
export interface AnswerSink {
  /** `headers`: names and values as they came, flat, latin1. */
  readonly onHead: (status: number, headers: string[]) => void
  readonly onBody: (piece: Buffer) => void
}

/** As much as the gateway takes from clients. */
const MAX_HEAD = 16_384
const BEGINNING = Buffer.from('HTTP/1.')
const HEAD_END = '\r\n\r\n'
/** What comes next. */
const [HEAD, OF_LENGTH, IN_CHUNKS, UNTIL_CLOSE, DONE] = [0, 1, 2, 3, 4] as const

export class AnswerParser {
  readonly #sink: AnswerSink
  readonly #chunked: ChunkedBody
  #state: number = DONE
  #isForHead = false
  #maySwitch = false
  #switched = false
  #keepsAlive = false
  #keepAliveMs: number | null = null
  /** Of a head that came in pieces. */
  #begun: Buffer | null = null
  #left = 0

  constructor(sink: AnswerSink) {
    this.#sink = sink
    this.#chunked = new ChunkedBody(sink.onBody)
  }

  /** The answer to a request of this method comes next; `maySwitch`: a 101 is what it asked for. */
  begin(method: string, maySwitch: boolean): void {
    this.#state = HEAD
    this.#isForHead = method === 'HEAD'
    this.#maySwitch = maySwitch
    this.#switched = false
    this.#begun = null
  }

  get done(): boolean {
    return this.#state === DONE
  }

  /** The answer was a 101: what follows is not HTTP. */
  get switched(): boolean {
    return this.#switched
  }

  /** Once done: another request may follow on this connection. */
  get keepsAlive(): boolean {
    return this.#keepsAlive
  }

  /** How long the upstream says that it will wait for another request; null when it does not say. */
  get keepAliveMs(): number | null {
    return this.#keepAliveMs
  }

  /**
   * How many bytes belong to the answer: fewer than there are when it ends before them. Throws UPSTREAM_BAD_RESPONSE.
   */
  push(chunk: Buffer): number {
    let at = this.#state === HEAD ? this.#readHeads(chunk) : 0
    if (this.#state === OF_LENGTH) at += this.#readLength(chunk, at)
    else if (this.#state === IN_CHUNKS) {
      at = this.#chunked.push(chunk, at)
      if (this.#chunked.done) this.#state = DONE
    } else if (this.#state === UNTIL_CLOSE) {
      if (at < chunk.length) this.#sink.onBody(chunk.subarray(at))
      at = chunk.length
    }
    return at
  }

  /** The upstream will say no more. True when that was the end of the answer: RFC 9112 section 6.3, rule 8. */
  end(): boolean {
    if (this.#state !== UNTIL_CLOSE) return false
    this.#state = DONE
    return true
  }

  /** Where in the chunk the head ends; its length when there is more to come. */
  #readHeads(chunk: Buffer): number {
    const before = this.#begun === null ? 0 : this.#begun.length
    const bytes = this.#begun === null ? chunk : Buffer.concat([this.#begun, chunk])
    let at = 0
    while (this.#state === HEAD) {
      const end = bytes.indexOf(HEAD_END, at === 0 ? Math.max(0, before - 3) : at, 'latin1')
      if ((end < 0 ? bytes.length : end) - at > MAX_HEAD) throw badAnswer('headers_too_large')
      if (end < 0) {
        this.#begun = bytes.subarray(at)
        checkBeginning(this.#begun)
        return chunk.length
      }
      this.#take(readHead(bytes.toString('latin1', at, end + 2)))
      at = end + HEAD_END.length
    }
    this.#begun = null
    return at - before
  }

  #take({ status, headers, length, isChunked, keepsAlive, keepAliveMs }: ReceivedHead): void {
    if (status < 200 && status !== 101) return
    this.#keepsAlive = keepsAlive
    this.#keepAliveMs = keepAliveMs
    this.#frame(status, length, isChunked)
    this.#sink.onHead(status, headers)
  }

  /** RFC 9112 section 6.3. */
  #frame(status: number, length: number, isChunked: boolean): void {
    if (status === 101) {
      if (!this.#maySwitch) throw badAnswer('bad_upgrade')
      this.#switched = true
      this.#state = DONE
    } else if (this.#isForHead || status === 204 || status === 304) {
      // A 204 that announces a body may well send it, and it would be taken for the next answer.
      if (status === 204 && (isChunked || length > 0)) this.#keepsAlive = false
      this.#state = DONE
    } else if (isChunked) {
      this.#chunked.begin()
      this.#state = IN_CHUNKS
    } else if (length >= 0) {
      this.#left = length
      this.#state = length === 0 ? DONE : OF_LENGTH
    } else {
      this.#keepsAlive = false
      this.#state = UNTIL_CLOSE
    }
  }

  #readLength(chunk: Buffer, at: number): number {
    const size = Math.min(this.#left, chunk.length - at)
    this.#left -= size
    if (this.#left === 0) this.#state = DONE
    if (size > 0) this.#sink.onBody(size === chunk.length ? chunk : chunk.subarray(at, at + size))
    return size
  }
}

/** What will never be an answer, or has lines that end in a bare LF, shall not be waited for. */
function checkBeginning(bytes: Buffer): void {
  const size = Math.min(bytes.length, BEGINNING.length)
  if (bytes.compare(BEGINNING, 0, size, 0, size) !== 0 || bytes.includes('\n\n')) throw badAnswer('unparsable')
}
