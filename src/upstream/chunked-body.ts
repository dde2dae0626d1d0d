/** A body in chunks, RFC 9112 section 7.1. Extensions and trailers end here; every length is bounded. */
import { GatewayError } from '../errors.js'
import { FIELD_LINES, TOKEN } from './field-lines.js'

/** 13 digits are as many bytes as a number can count. */
const MAX_DIGITS = 13
const MAX_EXTENSIONS = 4096
const MAX_TRAILERS = 16_384
/** RFC 9112 section 7.1.1, without the white space it calls bad. */
const QUOTED = '"(?:[\\t\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\[\\t\\x20-\\x7e])*"'
const EXTENSIONS = new RegExp(`^(?:;${TOKEN}(?:=(?:${TOKEN}|${QUOTED}))?)+$`)
/** RFC 9110 section 6.5.1: what frames a message cannot stand behind it. */
const FRAMING = /^(?:content-length|transfer-encoding):/im

const [CR, LF, SEMICOLON] = [0x0d, 0x0a, 0x3b] as const

/** What the next byte is part of. */
const [SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILERS, DONE] = [0, 1, 2, 3, 4, 5, 6, 7] as const

export class ChunkedBody {
  readonly #onBody: (piece: Buffer) => void
  #state: number = DONE
  #digits = 0
  #left = 0
  /** This chunk's extensions, or the trailers, as far as they have come. */
  #text = ''

  constructor(onBody: (piece: Buffer) => void) {
    this.#onBody = onBody
  }

  begin(): void {
    this.#state = SIZE
    this.#digits = 0
    this.#left = 0
    this.#text = ''
  }

  get done(): boolean {
    return this.#state === DONE
  }

  /** Where the body ends in the chunk, its length when there is more to come. Throws UPSTREAM_BAD_RESPONSE. */
  push(chunk: Buffer, from: number): number {
    let at = from
    while (at < chunk.length && this.#state !== DONE) {
      if (this.#state !== DATA) {
        this.#step(chunk[at] as number)
        at++
        continue
      }
      const size = Math.min(this.#left, chunk.length - at)
      this.#left -= size
      if (this.#left === 0) this.#state = DATA_CR
      this.#onBody(chunk.subarray(at, at + size))
      at += size
    }
    return at
  }

  #step(byte: number): void {
    switch (this.#state) {
      case SIZE:
        return this.#readSize(byte)
      case EXTENSION:
        return this.#readExtensions(byte)
      case SIZE_LF:
        this.#text = ''
        return this.#mustBe(byte, LF, this.#left === 0 ? TRAILERS : DATA)
      case DATA_CR:
        return this.#mustBe(byte, CR, DATA_LF)
      case DATA_LF:
        this.#digits = 0
        return this.#mustBe(byte, LF, SIZE)
      default:
        return this.#readTrailers(byte)
    }
  }

  #readSize(byte: number): void {
    const digit = hexDigit(byte)
    if (digit >= 0) {
      this.#digits++
      if (this.#digits > MAX_DIGITS) throw bad()
      this.#left = this.#left * 16 + digit
      return
    }
    if (this.#digits === 0) throw bad()
    if (byte === CR) this.#state = SIZE_LF
    else if (byte === SEMICOLON) this.#beginExtensions()
    else throw bad()
  }

  #mustBe(byte: number, wanted: number, next: number): void {
    if (byte !== wanted) throw bad()
    this.#state = next
  }

  #beginExtensions(): void {
    this.#text = ';'
    this.#state = EXTENSION
  }

  #readExtensions(byte: number): void {
    if (byte !== CR) return this.#keep(byte, MAX_EXTENSIONS)
    if (!EXTENSIONS.test(this.#text)) throw bad()
    this.#state = SIZE_LF
  }

  /** Nobody reads them, but they must be what they look like, or the body has another end for somebody. */
  #readTrailers(byte: number): void {
    this.#keep(byte, MAX_TRAILERS)
    if (byte !== LF) return
    if (!this.#text.endsWith('\r\n')) throw bad()
    if (this.#text !== '\r\n' && !this.#text.endsWith('\r\n\r\n')) return
    const lines = this.#text.slice(0, -2)
    if (!FIELD_LINES.test(lines) || FRAMING.test(lines)) throw bad()
    this.#state = DONE
  }

  #keep(byte: number, most: number): void {
    if (this.#text.length === most) throw bad()
    this.#text += String.fromCharCode(byte)
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

function bad(): GatewayError {
  return new GatewayError('UPSTREAM_BAD_RESPONSE', { reason: 'bad_chunk' })
}
