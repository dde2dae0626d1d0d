/**
 * A moment that moves with every call. One timer that is armed anew only when it goes off too early, or would go off
 * too late: moving it costs a store, where clearing and arming a timer costs a microsecond.
 */
export class Deadline {
  readonly #passed: () => void
  /** Both by performance.now(). */
  #at = Number.POSITIVE_INFINITY
  #armedFor = Number.POSITIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  /** It keeps no process alive. */
  constructor(passed: () => void) {
    this.#passed = passed
  }

  set(at: number): void {
    this.#at = at
    if (at < this.#armedFor) this.#arm(at)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#at = Number.POSITIVE_INFINITY
    this.#armedFor = Number.POSITIVE_INFINITY
  }

  #arm(at: number): void {
    clearTimeout(this.#timer)
    this.#armedFor = at
    this.#timer = setTimeout(this.#onTimer, Math.max(1, at - performance.now())).unref()
  }

  readonly #onTimer = (): void => {
    this.#armedFor = Number.POSITIVE_INFINITY
    if (this.#at === Number.POSITIVE_INFINITY) return
    if (this.#at > performance.now()) return this.#arm(this.#at)
    this.#at = Number.POSITIVE_INFINITY
    this.#passed()
  }
}
