/**
 * How often, how soon and how many in all: the calls of one upstream that are made again. A budget keeps them from
 * doubling the load of a service that is going down: over ten seconds one extra call for ten calls, and five where
 * that is less, so that a quiet gateway may retry at all. Counted in fixed cells: a call costs two additions, and
 * nothing is allocated.
 */
const SECONDS = 10
const SHARE = 0.1
const ALWAYS = 5
const FIRST_DELAY_MS = 25
const LONGEST_DELAY_MS = 1000

export class Retries {
  readonly #max: number
  readonly #withinMs: number
  readonly #onSpent: () => void
  readonly #calls = new Uint32Array(SECONDS)
  readonly #extra = new Uint32Array(SECONDS)
  #second = 0

  /**
   * `max`: attempts that `delayMs` grants one call. `withinMs`: from its start; none begins later. `onSpent`: for each.
   */
  constructor(max: number, withinMs: number, onSpent: () => void) {
    this.#max = max
    this.#withinMs = withinMs
    this.#onSpent = onSpent
  }

  /** By performance.now(), as everywhere here. */
  noteCall(now: number): void {
    const cell = this.#cellAt(now)
    this.#calls[cell] = (this.#calls[cell] as number) + 1
  }

  /** Milliseconds to wait before the attempt after `made` ones; null: there is none. An attempt granted is spent. */
  delayMs(made: number, startedAt: number): number | null {
    const delay = Math.random() * Math.min(FIRST_DELAY_MS * 2 ** made, LONGEST_DELAY_MS)
    if (made >= this.#max || this.leftMs(startedAt) <= delay + 1) return null
    return this.spend() ? delay : null
  }

  /** One extra call, if the budget has it. */
  spend(): boolean {
    const cell = this.#cellAt(performance.now())
    if (sum(this.#extra) >= Math.max(ALWAYS, SHARE * sum(this.#calls))) return false
    this.#extra[cell] = (this.#extra[cell] as number) + 1
    this.#onSpent()
    return true
  }

  /** What is left of the time in which the answer's headers must be here; at least 1. */
  leftMs(startedAt: number): number {
    return Math.max(1, startedAt + this.#withinMs - performance.now())
  }

  /** Empties the cells of the seconds nobody called in. */
  #cellAt(now: number): number {
    const second = Math.floor(now / 1000)
    if (second - this.#second >= SECONDS) this.#second = second - SECONDS
    while (this.#second < second) {
      this.#second++
      this.#calls[this.#second % SECONDS] = 0
      this.#extra[this.#second % SECONDS] = 0
    }
    return this.#second % SECONDS
  }
}

function sum(cells: Uint32Array): number {
  return cells.reduce((total, count) => total + count, 0)
}
