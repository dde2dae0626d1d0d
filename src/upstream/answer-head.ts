/** The head of an upstream's answer, and what it says of the bytes behind it: RFC 9112 sections 4, 5, 6 and 9.3. */
import { GatewayError } from '../errors.js'
import { FIELD_LINES } from './field-lines.js'

export interface ReceivedHead {
  readonly status: number
  /** Names and values as they came, flat, latin1. */
  readonly headers: string[]
  /** Bytes announced; -1: none were. */
  readonly length: number
  readonly isChunked: boolean
  /** Another request may follow, as far as the head says. */
  readonly keepsAlive: boolean
  /** How long the upstream will wait for it, milliseconds; null: it does not say. */
  readonly keepAliveMs: number | null
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?\r\n/
const LENGTH = /^\d{1,15}$/
const KEEP_ALIVE_SECONDS = /(?:^|[,\s])timeout\s*=\s*"?(\d{1,6})/i

/** `head`: up to the end of its last line, latin1. Throws UPSTREAM_BAD_RESPONSE. */
export function readHead(head: string): ReceivedHead {
  const [line, minor, status] = STATUS_LINE.exec(head) ?? []
  if (line === undefined) throw badAnswer('unparsable')
  const fields = head.slice(line.length)
  if (!FIELD_LINES.test(fields)) throw badAnswer('unparsable')
  const headers: string[] = []
  let length = -1
  let coding: string | null = null
  let connection = ''
  let keepAliveMs: number | null = null

  for (let at = 0; at < fields.length; ) {
    const colon = fields.indexOf(':', at)
    const end = fields.indexOf('\r\n', colon)
    const name = fields.slice(at, colon)
    const value = withoutSpace(fields, colon + 1, end)
    at = end + 2
    headers.push(name, value)
    // By length first: hardly any name needs to be put into lower case.
    if (name.length === 14 && name.toLowerCase() === 'content-length') {
      // RFC 9112 section 6.3, rule 5: two of them, even alike, come from somebody who is confused.
      if (length >= 0 || !LENGTH.test(value)) throw badAnswer('content_length')
      length = Number(value)
    } else if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') {
      coding = (coding ?? '') + value.toLowerCase()
    } else if (name.length === 10) {
      const known = name.toLowerCase()
      if (known === 'connection') connection += `,${value.toLowerCase()}`
      else if (known === 'keep-alive') keepAliveMs = secondsIn(value)
    }
  }

  const isCurrent = minor === '1'
  const isChunked = coding !== null
  // We offer no TE, so a body in another coding is one that nobody can undo: section 6.1.
  if (isChunked && (coding !== 'chunked' || !isCurrent)) throw badAnswer('transfer_coding')
  if (isChunked && length >= 0) throw badAnswer('two_lengths')
  const keepsAlive = isCurrent ? !connection.includes('close') : connection.includes('keep-alive')
  return { status: Number(status), headers, length, isChunked, keepsAlive, keepAliveMs }
}

/** Optional white space is these two signs: RFC 9110 section 5.6.3. */
function withoutSpace(text: string, from: number, to: number): string {
  let [start, end] = [from, to]
  while (start < end && isSpace(text.charCodeAt(start))) start++
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09
}

function secondsIn(keepAlive: string): number | null {
  const seconds = KEEP_ALIVE_SECONDS.exec(keepAlive)?.[1]
  return seconds === undefined ? null : Number(seconds) * 1000
}

export function badAnswer(reason: string): GatewayError {
  return new GatewayError('UPSTREAM_BAD_RESPONSE', { reason })
}
