/** Hearing of a client that goes away before its answer is complete. */
import type { IncomingMessage, ServerResponse } from 'node:http'

export function whenGone(request: IncomingMessage, response: ServerResponse, listener: () => void): void {
  response.on('close', listener)
  // The answer to a pipelined request has no socket before its turn, and without one it hears of nothing.
  if (response.socket === null) request.socket.setMaxListeners(0).once('close', listener)
}

export function forgetGone(request: IncomingMessage, response: ServerResponse, listener: () => void): void {
  response.off('close', listener)
  request.socket.off('close', listener)
}
