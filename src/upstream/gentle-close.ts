/**
 * Ends a connection whose request body will not be read to its end, so that the client still gets the answer:
 * closing a socket with unread bytes makes the kernel send a reset, which can overtake the answer.
 * RFC 9112 section 9.6: say close, send the answer, end our half, read on for a while without looking, then close.
 */
import type { Socket } from 'node:net'
import type { IncomingMessage, ServerResponse } from 'node:http'

const LINGER_MS = 2000

const closing = new WeakSet<Socket>()

/** True when a connection ends with the answer under way. What follows the body may look like a request: it is none. */
export function isClosing({ socket }: IncomingMessage): boolean {
  return closing.has(socket)
}

/** Call before the headers of the answer are written. */
export function closeGently(request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request
  closing.add(socket)
  response.shouldKeepAlive = false
  // node:http calls this when the last answer of a connection has been handed to the socket.
  socket.destroySoon = () => {
    request.resume()
    socket.end()
    const timer = setTimeout(() => socket.destroy(), LINGER_MS)
    socket.once('close', () => clearTimeout(timer))
  }
}
