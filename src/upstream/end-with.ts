/** A body that is all there leaves together with its head. */
import type { ServerResponse } from 'node:http'

/** Above it, copying a body costs more than a second buffer in the write. */
const MAX_JOINED = 16_384

/**
 * Head and body in one plain write. `end(chunk)` makes Node write them, and an empty third piece, by writev: a tenth
 * of the time of a small answer (2026-11-21).
 */
export function endWith(response: ServerResponse, chunk: Buffer): void {
  const { socket } = response
  if (chunk.length > MAX_JOINED || socket === null || socket.writableLength > 0) {
    response.end(chunk)
    return
  }
  socket.cork()
  response.write(chunk.toString('latin1'), 'latin1')
  socket.uncork()
  response.end()
}
