/**
 * W3C Trace Context: the `traceparent` an upstream gets. A valid one from a trusted proxy keeps its
 * trace id and gets a new parent id; anything else starts a new trace, and a `tracestate` that came
 * with it is dropped (sections 3.2 and 4 of the recommendation).
 */
import { randomFillSync } from 'node:crypto'

const VALID = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})$/

const TRACE_ID = /^[0-9a-f]{32}$/

/** The trace id and flags of a valid header, or null. */
export function readTraceparent(header: string | undefined): { traceId: string; flags: string } | null {
  if (header === undefined) return null
  const [, traceId, flags] = VALID.exec(header) ?? []
  return traceId === undefined || flags === undefined ? null : { traceId, flags }
}

/** Random bytes are drawn in blocks: one call per request would be the dearest part of it. */
const pool = Buffer.alloc(4096)
let used = pool.length

/** 16 hex digits, never all zero. */
export function newParentId(): string {
  if (used + 8 > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const id = pool.toString('hex', used, used + 8)
  used += 8
  return id === '0000000000000000' ? newParentId() : id
}

/**
 * A request id of ours is a random UUID, so its digits serve as the trace id: one number to look for in both worlds.
 * `foreign`: the id may have come from a trusted proxy and be anything.
 */
export function traceIdOf(id: string, foreign: boolean): string {
  const digits = id.slice(0, 8) + id.slice(9, 13) + id.slice(14, 18) + id.slice(19, 23) + id.slice(24)
  return !foreign || TRACE_ID.test(digits) ? digits : newParentId() + newParentId()
}
