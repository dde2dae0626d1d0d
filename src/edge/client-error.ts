/**
 * What the HTTP parser refuses never becomes a request: the answer is written to the socket by hand, in
 * the contract's shape, and the connection closed, since nobody knows where the next request would begin
 * (RFC 9112 section 9.3).
 */
import { randomUUID } from 'node:crypto'
import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { ERRORS } from '../errors.js'

const STATUS_OF: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408
}

export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  // Node keeps the answer under way here; a second status line in its midst would corrupt it.
  const { _httpMessage: underWay } = socket as Socket & { _httpMessage?: ServerResponse }
  if (underWay?.req.complete === true && socket.writable) {
    // Not its fault: it is the last one, and what came behind it is never read as a request.
    underWay.shouldKeepAlive = false
    return
  }
  if (error.code === 'ECONNRESET' || !socket.writable || underWay?.headersSent === true) {
    socket.destroy()
    return
  }
  const status = STATUS_OF[error.code ?? ''] ?? 400
  // Mostly the characters no path may hold, which `match-route` calls the same.
  const code = error.code === 'HPE_INVALID_URL' ? 'BAD_PATH' : 'BAD_REQUEST'
  const { message } = ERRORS[code]
  const requestId = randomUUID()
  const body = JSON.stringify({ success: false, code, error: message, message, requestId })
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n` +
      `Content-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
      `Cache-Control: no-store\r\nX-Request-ID: ${requestId}\r\nConnection: close\r\n\r\n${body}`
  )
}
