/**
 * When a request may be sent a second time without asking the client: it has no body, and not a byte of an answer has
 * come. `maySendAgain` holds always, `mayRetry` where the upstream has `retries`, or another target and the connection
 * did not come about.
 */
import type { Connection } from './connection.js'
import { CONNECTION_CLOSED, NotSent } from './upstream-error.js'

/** RFC 9110 section 9.2.2. PUT and DELETE are idempotent too, but the second answer differs from the first. */
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])
/**
 * What was asked for by `retries`: all that is idempotent, though the second DELETE may find nothing. TRACE is not let
 * in.
 */
const IDEMPOTENT_METHODS = new Set([...SAFE_METHODS, 'PUT', 'DELETE'])
const LOST_CONNECTION = new Set([CONNECTION_CLOSED, 'ECONNRESET', 'EPIPE'])

/**
 * A kept-alive connection may have been closed by the target just as it was used again; such a request was never
 * seen, and where it had not left yet, that is certain. A connection that had not served before proves nothing of the
 * kind. The caller has sent no body and has not received a byte.
 */
export function maySendAgain(
  method: string | undefined,
  error: NodeJS.ErrnoException,
  { hasServed }: Connection
): boolean {
  if (!hasServed) return false
  return error instanceof NotSent || (LOST_CONNECTION.has(error.code ?? '') && SAFE_METHODS.has(method ?? ''))
}

/**
 * The connection did not come about, or was lost while the answer was waited for. Not after a time-out: the target is
 * at work on it, and a second one would be too.
 */
export function mayRetry(
  method: string | undefined,
  error: NodeJS.ErrnoException,
  { wasConnected }: Connection
): boolean {
  return IDEMPOTENT_METHODS.has(method ?? '') && (!wasConnected || LOST_CONNECTION.has(error.code ?? ''))
}
