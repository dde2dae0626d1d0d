/** What a limited client is told: RateLimit and RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers-10. */
import type { FastifyReply } from 'fastify'

export interface LimitVerdict {
  readonly max: number
  /** Milliseconds. */
  readonly timeWindow: number
  readonly remaining: number
  readonly ttlInSeconds: number
}

/**
 * Adds one item to each field: a request may stand under several limits. Returns the seconds to wait, for Retry-After.
 */
export function tellLimit(reply: FastifyReply, name: string, verdict: LimitVerdict): string {
  const { max, timeWindow, remaining, ttlInSeconds } = verdict
  append(reply, 'ratelimit-policy', `"${name}";q=${max};w=${Math.ceil(timeWindow / 1000)}`)
  append(reply, 'ratelimit', `"${name}";r=${remaining};t=${ttlInSeconds}`)
  return String(Math.max(1, ttlInSeconds))
}

function append(reply: FastifyReply, header: string, item: string): void {
  const before = reply.getHeader(header)
  void reply.header(header, before === undefined ? item : `${String(before)}, ${item}`)
}
