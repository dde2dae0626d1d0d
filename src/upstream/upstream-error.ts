/**
 * What undici, TLS and the socket call a failure → what the client is told. The cause stays inside: its
 * message holds addresses (OWASP ASVS 16.5.1).
 */
import { errors } from 'undici'
import { type ErrorCode, GatewayError } from '../errors.js'

const TIMEOUTS = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'ETIMEDOUT',
  'ERR_SOCKET_CONNECTION_TIMEOUT'
])

/** ERR_ASSERTION: undici's answer to a status below 100; ERR_*: what Node refuses to pass on. */
const BAD_ANSWER =
  /^(?:UND_ERR_HEADERS_OVERFLOW|UND_ERR_RES_|ERR_ASSERTION|ERR_INVALID_CHAR|ERR_INVALID_HTTP_TOKEN|ERR_HTTP_)/
/** undici's words for a 101 nobody asked for and for bytes nobody waits for; both carry its plain socket code. */
const BAD_WORDS = new Set(['bad upgrade', 'bad response'])

/** Ours pass unchanged: a body over the limit, a full queue. */
export function upstreamError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error
  // The parser's errors carry no code.
  if (error instanceof errors.HTTPParserError) {
    return new GatewayError('UPSTREAM_BAD_RESPONSE', { reason: 'unparsable', cause: error })
  }
  const { code = 'unknown', message = '' } = (error ?? {}) as { code?: string; message?: string }
  return new GatewayError(codeFor(code, message), { reason: code.toLowerCase(), cause: error })
}

/** undici refuses what we hand it: not the upstream's fault. */
const OUR_FAULT = new Set(['UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED'])

function codeFor(code: string, message: string): ErrorCode {
  if (OUR_FAULT.has(code)) return 'INTERNAL_ERROR'
  if (TIMEOUTS.has(code)) return 'UPSTREAM_TIMEOUT'
  return BAD_ANSWER.test(code) || BAD_WORDS.has(message) ? 'UPSTREAM_BAD_RESPONSE' : 'UPSTREAM_UNREACHABLE'
}

export function overloaded(reason: string): GatewayError {
  return new GatewayError('UPSTREAM_OVERLOADED', { reason, headers: { 'retry-after': '1' } })
}
