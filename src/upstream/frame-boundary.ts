/**
 * Where one WebSocket frame ends and the next begins (RFC 6455 section 5.2), so that a frame of ours can be put between
 * them. Nothing is checked and nothing is kept: what is no WebSocket passes as well, and just never seems to end.
 */
const CLOSE = 8

export class FrameBoundary {
  /** A close frame has gone by: the sender says no more. */
  closed = false
  /** Header bytes seen; 0: at a boundary, unless payload is left. */
  #seen = 0
  #lengthLeft = 0
  #maskLeft = 0
  #payload = 0

  /** Between two frames. A control frame may also stand between the fragments of one message (section 5.4). */
  get reached(): boolean {
    return this.#seen === 0
  }

  /** Goes through all of a chunk. */
  follow(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) at += this.#step(chunk, at)
  }

  /** Goes through the rest of the frame under way; how many bytes of the chunk that is. */
  finish(chunk: Buffer): number {
    let at = 0
    while (at < chunk.length && !this.reached) at += this.#step(chunk, at)
    return at
  }

  #step(chunk: Buffer, at: number): number {
    let passed = 1
    if (this.#inPayload) {
      passed = Math.min(this.#payload, chunk.length - at)
      this.#payload -= passed
    } else {
      this.#readHeader(chunk[at] as number)
    }
    if (this.#inPayload && this.#payload === 0) this.#seen = 0
    return passed
  }

  get #inPayload(): boolean {
    return this.#seen >= 2 && this.#lengthLeft === 0 && this.#maskLeft === 0
  }

  #readHeader(byte: number): void {
    this.#seen++
    if (this.#seen === 1) {
      if ((byte & 0x0f) === CLOSE) this.closed = true
    } else if (this.#seen === 2) {
      const length = byte & 0x7f
      this.#maskLeft = byte & 0x80 ? 4 : 0
      this.#lengthLeft = length === 127 ? 8 : length === 126 ? 2 : 0
      this.#payload = length < 126 ? length : 0
    } else if (this.#lengthLeft > 0) {
      this.#lengthLeft--
      this.#payload = this.#payload * 256 + byte
    } else {
      this.#maskLeft--
    }
  }
}

/** Unmasked, as a server sends it. `reason`: ASCII, 123 bytes at most. */
export function closeFrame(code: number, reason: string): Buffer {
  const frame = Buffer.alloc(4 + reason.length)
  frame[0] = 0x80 | CLOSE
  frame[1] = 2 + reason.length
  frame.writeUInt16BE(code, 2)
  frame.write(reason, 4, 'latin1')
  return frame
}
