/**
 * What time it is by the database's clock, which alone decides when a session ends (G3): gateways may be ten
 * minutes off. Between two readings the process's monotonic clock goes on, so a step of the wall clock moves nothing.
 */
export class DatabaseClock {
  /** The database's time at the origin of performance.now(). Until the first reading, this machine's own. */
  #origin = performance.timeOrigin

  /**
   * Never behind the database, and ahead by the last reading's round trip at most: a session ends early, never late.
   */
  readonly now = (): number => this.#origin + performance.now()

  /** The same for a reading of performance.now() that the caller has already. */
  at(monotonicNow: number): number {
    return this.#origin + monotonicNow
  }

  /** `askedAt`: performance.now() when the question was sent. */
  set(databaseNow: number, askedAt: number): void {
    this.#origin = databaseNow - askedAt
  }
}
