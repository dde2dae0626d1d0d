/** Hearing of a client that goes away before its answer is complete. */
import type { IncomingMessage, ServerResponse } from 'node:http'

/**
 * `listener` is called at the end of the answer, too. Returns how to stop listening where that takes more than
 * forgetting the answer: a connection outlives it.
 */
export function whenGone(
  { socket }: IncomingMessage,
  response: ServerResponse,
  listener: () => void
): (() => void) | null {
  response.on('close', listener)
  // The answer to a pipelined request has no socket before its turn, and without one it hears of nothing.
  if (response.socket !== null) return null
  socket.setMaxListeners(0).once('close', listener)
  return () => void socket.off('close', listener)
}
