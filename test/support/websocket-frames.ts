/** Frames of RFC 6455 section 5.2, valid or not. */
import { randomBytes } from 'node:crypto'

export const TEXT = 1
export const BINARY = 2
export const CLOSE = 8
export const PING = 9

export interface Frame {
  readonly fin: boolean
  readonly opcode: number
  readonly data: Buffer
  /** The frame as it came over the wire. */
  readonly raw: Buffer
}

/** `first`: the whole first byte, with reserved bits where a test wants them. */
export function frame(data: Buffer | string, opcode = TEXT, { fin = true, masked = false, reserved = 0 } = {}): Buffer {
  const payload = Buffer.from(data as string)
  const length = payload.length
  const header = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  header[0] = (fin ? 0x80 : 0) | reserved | opcode
  header[1] = (masked ? 0x80 : 0) | (length < 126 ? length : length < 65_536 ? 126 : 127)
  if (header.length === 4) header.writeUInt16BE(length, 2)
  if (header.length === 10) header.writeBigUInt64BE(BigInt(length), 2)
  if (!masked) return Buffer.concat([header, payload])
  const mask = randomBytes(4)
  return Buffer.concat([header, mask, payload.map((byte, i) => byte ^ (mask[i % 4] as number))])
}

/** Bytes in, frames out. */
export class FrameParser {
  #bytes = Buffer.alloc(0)

  push(chunk: Buffer): Frame[] {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    const frames: Frame[] = []
    for (let next = this.#shift(); next !== null; next = this.#shift()) frames.push(next)
    return frames
  }

  #shift(): Frame | null {
    const bytes = this.#bytes
    if (bytes.length < 2) return null
    const [first, second] = bytes as unknown as [number, number]
    const extra = (second & 0x7f) === 126 ? 2 : (second & 0x7f) === 127 ? 8 : 0
    const start = 2 + extra + (second & 0x80 ? 4 : 0)
    if (bytes.length < start) return null
    const length = extra === 0 ? second & 0x7f : extra === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
    if (bytes.length < start + length) return null
    const raw = bytes.subarray(0, start + length)
    this.#bytes = bytes.subarray(start + length)
    const mask = second & 0x80 ? raw.subarray(start - 4, start) : null
    const data = raw.subarray(start)
    const clear = mask === null ? data : Buffer.from(data.map((byte, i) => byte ^ (mask[i % 4] as number)))
    return { fin: (first & 0x80) !== 0, opcode: first & 0x0f, data: clear, raw }
  }
}
