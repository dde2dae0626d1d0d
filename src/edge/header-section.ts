/**
 * Is the header section one that every server reads alike? What is refused here has passed Node's parser, and
 * still another server could see in it another host, another end of the body, or another protocol.
 */
import type { IncomingMessage } from 'node:http'
import { GatewayError } from '../errors.js'

/** Node drops lines past its own limit without a word; we refuse long before that. */
const MAX_HEADER_LINES = 500
const HOST = /^(?:[a-z0-9_~-]+(?:\.[a-z0-9_~-]+)*\.?|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$/i

/** Throws BAD_REQUEST with 400, 417 or 431. */
export function checkHeaderSection(request: IncomingMessage): void {
  // Node's parser also takes HTTP/0.9 and 2.0 for versions of this syntax.
  if (request.httpVersionMajor !== 1) throw new GatewayError('BAD_REQUEST', { reason: 'http_version' })
  if (request.rawHeaders.length > 2 * MAX_HEADER_LINES) {
    throw new GatewayError('BAD_REQUEST', { status: 431, reason: 'too_many_headers' })
  }
  checkHost(request)
  checkFraming(request)
  const { expect } = request.headers
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') {
    throw new GatewayError('BAD_REQUEST', { status: 417, reason: 'expectation' })
  }
}

/** RFC 9110 section 10.1.1: HTTP/1.0 knows no 100 (Continue). */
export function awaitsContinue({ headers, httpVersionMinor }: IncomingMessage): boolean {
  return headers.expect !== undefined && httpVersionMinor > 0
}

/** Two Host lines, or one that is no host, name different servers to different readers: RFC 9112 section 3.2. */
function checkHost({ rawHeaders, httpVersionMinor }: IncomingMessage): void {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    if (name?.length === 4 && name.toLowerCase() === 'host') {
      hosts++
      if (!isHost(rawHeaders[i + 1] ?? '')) throw new GatewayError('BAD_REQUEST', { reason: 'bad_host' })
    }
  }
  if (hosts > 1 || (hosts === 0 && httpVersionMinor > 0)) {
    throw new GatewayError('BAD_REQUEST', { reason: hosts > 1 ? 'two_hosts' : 'no_host' })
  }
}

/** RFC 9112 section 6.1: a coding we do not undo, or one in HTTP/1.0; and a length that no number here can hold. */
function checkFraming({ headers, httpVersionMinor }: IncomingMessage): void {
  const coding = headers['transfer-encoding']
  if (coding !== undefined && (httpVersionMinor === 0 || coding.toLowerCase() !== 'chunked')) {
    throw new GatewayError('BAD_REQUEST', { reason: 'transfer_coding' })
  }
  if (Number(headers['content-length'] ?? 0) > Number.MAX_SAFE_INTEGER) {
    throw new GatewayError('BAD_REQUEST', { reason: 'content_length' })
  }
}

/** The few names a gateway goes by are remembered, so that the pattern runs once for each. */
const goodHosts = new Set<string>()

/** A host as RFC 9110 section 7.2 has it, with or without a port. */
export function isHost(value: string): boolean {
  if (goodHosts.has(value)) return true
  const [match, port] = HOST.exec(value) ?? []
  if (match === undefined || Number(port ?? 0) > 65535) return false
  if (goodHosts.size < 100) goodHosts.add(value)
  return true
}
