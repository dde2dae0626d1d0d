/** The head of a call as bytes of HTTP/1.1, RFC 9112 section 3. */
import { GatewayError } from '../errors.js'

/** Above 0xff a character would be cut to its lower byte, which may be a line end. */
const NOT_IN_A_TARGET = /[^\x21-\x7e\x80-\xff]/
/** RFC 9110 section 8.6: says that there is no body where one is expected. */
const EXPECTS_BODY = new Set(['POST', 'PUT', 'PATCH'])

export interface OutgoingHead {
  readonly method: string
  readonly path: string
  /** Lines as `fieldLine` writes them, without Host, Connection and framing but Content-Length. */
  readonly fields: string
  /** Content-Length is among them. */
  readonly hasLength: boolean
  /** A WebSocket handshake. */
  readonly switches: boolean
}

/**
 * To be written as latin1. `bodyLength`: null for no body. Throws INTERNAL_ERROR rather than send what could be read as
 * two requests.
 */
export function requestHead(
  authority: string,
  { method, path, fields, hasLength, switches }: OutgoingHead,
  bodyLength: 'announced' | 'unknown' | null
): string {
  if (NOT_IN_A_TARGET.test(path)) throw new GatewayError('INTERNAL_ERROR', { reason: 'request_target' })
  let head = `${method} ${path} HTTP/1.1\r\nhost: ${authority}\r\n`
  head += switches ? 'connection: upgrade\r\nupgrade: websocket\r\n' : 'connection: keep-alive\r\n'
  head += fields
  if (bodyLength === 'unknown') head += 'transfer-encoding: chunked\r\n'
  else if (bodyLength === null && !hasLength && EXPECTS_BODY.has(method)) head += 'content-length: 0\r\n'
  return `${head}\r\n`
}
