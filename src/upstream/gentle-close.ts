/**
 * Ends a connection whose request body will not be read to its end, so that the client still gets the answer:
 * closing a socket with unread bytes makes the kernel send a reset, which can overtake the answer.
 * RFC 9112 section 9.6: say close, send the answer, end our half, read on for a while without looking, then close.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

const LINGER_MS = 2000

/** Call before the headers of the answer are written. Nothing that follows on the connection is taken for a request. */
export function closeGently({ socket }: IncomingMessage, response: ServerResponse): void {
  response.shouldKeepAlive = false
  // node:http calls this when the last answer of a connection has been handed to the socket.
  socket.destroySoon = () => {
    // Away from the parser: what is still to come may look like a request (request smuggling).
    socket.removeAllListeners('data')
    socket.on('data', discard)
    socket.resume()
    socket.end()
    const timer = setTimeout(() => socket.destroy(), LINGER_MS)
    socket.once('close', () => clearTimeout(timer))
  }
}

function discard(): void {}
