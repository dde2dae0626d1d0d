/**
 * A fuse in front of a dependency: after five failures in a row nobody asks it any more, after a second one
 * caller may try again. What it protects is our callers' time, so a refusal costs nothing.
 * In a row means one after the other: what one stall takes with it is one failure, however much was under way.
 */
const FAILURES_TO_OPEN = 5
const HALF_OPEN_AFTER_MS = 1000

export type BreakerState = 'closed' | 'open' | 'half-open'

export class Breaker {
  #failures = 0
  /** By performance.now(): when the last failure was counted. */
  #failedAt = Number.NEGATIVE_INFINITY
  /** By performance.now(): when the next try may go out, once open. */
  #retryAt = 0
  #trying = false

  get state(): BreakerState {
    if (this.#failures < FAILURES_TO_OPEN) return 'closed'
    return this.#trying || performance.now() >= this.#retryAt ? 'half-open' : 'open'
  }

  /** True when the caller may ask. It must then report how that went, by `succeeded` or `failed`. */
  admits(): boolean {
    if (this.#failures < FAILURES_TO_OPEN) return true
    if (this.#trying || performance.now() < this.#retryAt) return false
    this.#trying = true
    return true
  }

  succeeded(): void {
    this.#failures = 0
    this.#trying = false
  }

  /**
   * Somebody else was answered, so it is there: the next caller may try at once. Still one, as it may be slow for ours.
   */
  retryNow(): void {
    this.#retryAt = 0
  }

  /** `sentAt`: performance.now() when it was asked. What was sent before the last failure counts no more. */
  failed(sentAt: number = performance.now()): void {
    if (sentAt < this.#failedAt) return
    this.#failedAt = performance.now()
    this.#failures++
    this.#trying = false
    if (this.#failures >= FAILURES_TO_OPEN) this.#retryAt = performance.now() + HALF_OPEN_AFTER_MS
  }
}
