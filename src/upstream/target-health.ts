/**
 * Whether one target gets calls. Two witnesses: calls (passive) and, where `health` is set, the checks (active).
 *
 * A connection that does not come about puts it out at once; so do five failures within ten seconds that are the
 * gateway's own finding (connection lost, no headers in time, nonsense for an answer), where as many calls fail as are
 * answered. A status the target chose itself, 5xx too, is an answer: the route may be at fault, and what one caller can
 * provoke must not cost the others a target. Out for 1 s, then for twice as long each time, 5 s at most. After that one
 * call tries (half-open); where there are checks, a 2xx of theirs ends it instead, so no caller is the one to find out.
 */
const FAILURES = 5
const WITHIN_MS = 10_000
const CHECKS_IN_A_ROW = 2
const SHORTEST_MS = 1000
const LONGEST_MS = 5000
/** Caches are cold, and the least loaded of all would get every call: it comes back slowly. */
const WARM_UP_MS = 10_000
const FIRST_SHARE = 0.1

/** `reason`: the failure's, in lower case; never an address. */
export type HealthListener = (out: boolean, reason: string) => void

export class TargetHealth {
  readonly #hasChecks: boolean
  readonly #onChange: HealthListener
  #out = false
  #breaks = false
  #failures = 0
  #answers = 0
  #failedChecks = 0
  /** All by performance.now(). Since the first of `#failures`. */
  #since = Number.NEGATIVE_INFINITY
  #failedAt = Number.NEGATIVE_INFINITY
  #ejectedAt = Number.NEGATIVE_INFINITY
  #backAt = Number.NEGATIVE_INFINITY
  #tryAt = 0
  #outForMs = 0

  constructor(hasChecks: boolean, onChange: HealthListener) {
    this.#hasChecks = hasChecks
    this.#onChange = onChange
  }

  get out(): boolean {
    return this.#out
  }

  /** Out because what it takes it mostly does not answer: not even when all are out does it get calls (K22). */
  get breaks(): boolean {
    return this.#out && this.#breaks && performance.now() < this.#tryAt
  }

  /** How many calls it should have for one of another target: less than 1 when it is just back. */
  get share(): number {
    if (this.#backAt === Number.NEGATIVE_INFINITY) return 1
    return Math.min(1, Math.max(FIRST_SHARE, (performance.now() - this.#backAt) / WARM_UP_MS))
  }

  /**
   * True for one call each time its ejection is over. A try whose end nobody reports costs one more period, no more.
   */
  takesTry(): boolean {
    const now = performance.now()
    if (this.#hasChecks || now < this.#tryAt) return false
    this.#tryAt = now + this.#outForMs
    return true
  }

  /** Headers have come, with any status. Of every call, so it does nothing while all is well. */
  answered(startedAt: number): void {
    if (this.#failures !== 0 || this.#out) this.#lives(startedAt)
  }

  /** `connected`: false when the connection did not come about. */
  failed(reason: string, startedAt: number, connected: boolean): void {
    const now = performance.now()
    if (connected) {
      // What one stall takes with it is one failure, however much was under way.
      if (startedAt < this.#failedAt) return
      this.#failedAt = now
      if (now - this.#since > WITHIN_MS) this.#countFrom(now)
      this.#failures++
      if (!this.#out && (this.#failures < FAILURES || this.#failures < this.#answers)) return
    }
    this.#eject(now, reason, connected)
  }

  /** A check has ended; `problem`: null for a 2xx. */
  checked(problem: string | null): void {
    if (problem !== null) {
      this.#failedChecks++
      if (this.#failedChecks >= CHECKS_IN_A_ROW && !this.#out) this.#change(true, problem)
      return
    }
    this.#failedChecks = 0
    if (this.#out && performance.now() >= this.#tryAt) this.#change(false, 'check')
  }

  /** When all are out it gets calls all the same; one that began since and was answered says enough. */
  #lives(startedAt: number): void {
    if (performance.now() - this.#since > WITHIN_MS) this.#countFrom(Number.NEGATIVE_INFINITY)
    else if (startedAt >= this.#failedAt) this.#answers++
    if (!this.#out || this.#hasChecks || startedAt < this.#ejectedAt) return
    // A target that answers every other call would fill the log.
    if (performance.now() - this.#ejectedAt >= SHORTEST_MS) this.#change(false, 'answered')
  }

  #eject(now: number, reason: string, breaks: boolean): void {
    // Out already: only a try prolongs it, not the calls it gets when all are out.
    if (this.#out && (this.#hasChecks || now - this.#ejectedAt < this.#outForMs)) return
    const lapsed = !this.#out && now - this.#backAt > LONGEST_MS
    this.#outForMs = lapsed ? SHORTEST_MS : Math.min(Math.max(2 * this.#outForMs, SHORTEST_MS), LONGEST_MS)
    this.#breaks = breaks
    this.#ejectedAt = now
    this.#tryAt = now + this.#outForMs
    if (!this.#out) this.#change(true, reason)
  }

  #change(out: boolean, reason: string): void {
    this.#out = out
    this.#countFrom(Number.NEGATIVE_INFINITY)
    if (!out) this.#backAt = performance.now()
    this.#onChange(out, reason)
  }

  #countFrom(since: number): void {
    this.#since = since
    this.#failures = 0
    this.#answers = 0
  }
}
