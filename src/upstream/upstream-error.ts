/**
 * What TLS, the socket and Node call a failure → what the client is told. The cause stays inside: its message holds
 * addresses (OWASP ASVS 16.5.1).
 */
import { type ErrorCode, GatewayError } from '../errors.js'

const TIMEOUTS = new Set(['CONNECT_TIMEOUT', 'ETIMEDOUT', 'ERR_SOCKET_CONNECTION_TIMEOUT'])
/** What Node refuses to pass on to a client. */
const BAD_ANSWER = /^(?:ERR_INVALID_CHAR|ERR_INVALID_HTTP_TOKEN|ERR_HTTP_)/

/** Closed by the target, or by us, with a call on it. */
export const CONNECTION_CLOSED = 'CONNECTION_CLOSED'

/** Ours pass unchanged: a body over the limit, a full queue, an answer that is none. */
export function upstreamError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error
  const { code: written = 'unknown' } = (error ?? {}) as { code?: string }
  // The connector's own prefix says nothing to whoever reads a log.
  const code = written.replace(/^UND_ERR_/, '')
  return new GatewayError(codeFor(code), { reason: code.toLowerCase(), cause: error })
}

function codeFor(code: string): ErrorCode {
  if (TIMEOUTS.has(code)) return 'UPSTREAM_TIMEOUT'
  return BAD_ANSWER.test(code) ? 'UPSTREAM_BAD_RESPONSE' : 'UPSTREAM_UNREACHABLE'
}

/** Closed with a call on it of which nothing had been written: the target has seen nothing of it, whatever came back. */
export class NotSent extends Error {
  readonly code = CONNECTION_CLOSED

  constructor() {
    super('the connection was closed before the request left')
  }
}

export function lostConnection(): NodeJS.ErrnoException {
  return Object.assign(new Error('the connection was closed'), { code: CONNECTION_CLOSED })
}

export function timedOut(reason: 'headers_timeout' | 'body_timeout'): GatewayError {
  return new GatewayError('UPSTREAM_TIMEOUT', { reason })
}

export function overloaded(reason: string): GatewayError {
  return new GatewayError('UPSTREAM_OVERLOADED', { reason, headers: { 'retry-after': '1' } })
}
