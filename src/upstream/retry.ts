/** When a request may be sent a second time without asking the client. */
import type { Connection } from './connections.js'

/** RFC 9110 section 9.2.2. PUT and DELETE are idempotent too, but the second answer differs from the first. */
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])
const LOST_CONNECTION = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'])

/**
 * A kept-alive connection may have been closed by the target just as it was used again; such a request was never
 * seen. A connection that had not served before proves nothing of the kind. The caller has sent no body and has
 * not received a byte.
 */
export function maySendAgain(
  method: string | undefined,
  error: NodeJS.ErrnoException,
  { hasServed }: Connection
): boolean {
  return hasServed && LOST_CONNECTION.has(error.code ?? '') && SAFE_METHODS.has(method ?? '')
}
