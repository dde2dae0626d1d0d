/** Those who wait for one token, chained: no list is made for the usual one. */
import { unavailable } from '../data/guarded-sql.js'
import type { GatewayError } from '../errors.js'
import type { StoredSession } from './stored-session.js'

/** Somebody who waits for an answer. Chained by `next` with the others who wait for the same token. */
export interface StoreWaiter {
  readonly token: string
  next: StoreWaiter | null
  /** performance.now() when it began to wait for a statement, and later by what does not count. */
  since: number
  /** Null: unknown or expired. `askedAt`: performance.now() just before the statement was sent. */
  found(stored: StoredSession | null, askedAt: number): void
  failed(error: GatewayError): void
}

export function forEach(first: StoreWaiter | null, answer: (waiter: StoreWaiter) => void): void {
  for (let waiter = first; waiter !== null; waiter = waiter.next) answer(waiter)
}

/** Refuses those who have waited since before `tooOld`, `uncountedMs` aside; returns the others. */
export function withoutOld(first: StoreWaiter | null, tooOld: number, uncountedMs: number): StoreWaiter | null {
  let left: StoreWaiter | null = null
  let waiter = first
  while (waiter !== null) {
    const { next } = waiter
    waiter.since += uncountedMs
    if (waiter.since < tooOld) {
      waiter.failed(unavailable('queue_wait'))
    } else {
      waiter.next = left
      left = waiter
    }
    waiter = next
  }
  return left
}
