/**
 * When those who wait for an answer are asked for, together. What the turn of the event loop brought goes at its end:
 * sockets are read one by one with microtasks run in between, so `queueMicrotask` would gather nothing. While an answer
 * is under way the next question waits for it, and gathers: asked one by one, each on its own, the same load settles at
 * two tokens a question or at fifteen, by chance, and a question costs what it costs whatever it carries (2026-11-21).
 * Should the answer be slow to come, the next question goes out beside it.
 */
export interface DepartureOptions {
  /** Questions under way at once. */
  readonly most: number
  /** A question goes out beside another when none was sent for so long. */
  readonly soonMs: number
  readonly hasWaiting: () => boolean
  /** Sends some of those who wait; resolves, and never rejects, when they are answered. */
  readonly send: () => Promise<void>
}

export class Departures {
  readonly #options: DepartureOptions
  #underWay = 0
  #lastAt = 0
  #scheduled = false
  #held = false

  constructor(options: DepartureOptions) {
    this.#options = options
  }

  /** Somebody waits. */
  call(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#atEndOfTurn)
  }

  /** Without waiting for anything but a place. */
  now(): void {
    const { most, hasWaiting, send } = this.#options
    if (this.#underWay >= most || !hasWaiting()) return
    this.#underWay++
    this.#lastAt = performance.now()
    void send().finally(this.#onAnswer)
  }

  readonly #atEndOfTurn = (): void => {
    this.#scheduled = false
    this.#depart()
  }

  #depart(): void {
    const { most, soonMs, hasWaiting } = this.#options
    while (this.#underWay < most && hasWaiting()) {
      if (this.#underWay > 0 && performance.now() - this.#lastAt < soonMs) return this.#departSoon()
      this.now()
    }
  }

  /** For the case that none of those under way is answered before. */
  #departSoon(): void {
    if (this.#held) return
    this.#held = true
    setTimeout(() => {
      this.#held = false
      this.#depart()
    }, this.#options.soonMs)
  }

  readonly #onAnswer = (): void => {
    this.#underWay--
    if (this.#options.hasWaiting()) this.call()
  }
}
