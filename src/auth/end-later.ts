/**
 * Sessions that somebody asked to end and that may still live: the answer was a 503, and whoever signed out on the
 * way out of the door does not come back to ask again. So it is tried again here, until the rows are gone.
 *
 * In the memory of this process, and for five minutes at most: what it forgets was never promised.
 */
export type Ending =
  /** These. */
  | { readonly of: 'tokens'; readonly tokens: readonly string[] }
  /** Of the user whose live session `token` is: one, all, all others. Nobody has checked yet that it lives. */
  | { readonly of: 'one'; readonly token: string; readonly target: string }
  | { readonly of: 'all'; readonly token: string }
  | { readonly of: 'others'; readonly token: string }

export interface Unfinished {
  readonly ending: Ending
  /** Of the auth event, for the log of every node. */
  readonly cause: string
  /** By performance.now(), when the request came: sessions made since are not meant. */
  readonly askedAt: number
}

export interface EndLaterOptions {
  /** `ageMs`: how long ago it was asked for. Rejects when it cannot know. */
  readonly end: (ending: Ending, cause: string, ageMs: number) => Promise<unknown>
  readonly onEnded: (cause: string, ageMs: number) => void
  /** Out of time, or too many at once. */
  readonly onGivenUp: (cause: string, ageMs: number) => void
}

const RETRY_MS = 500
const PATIENCE_MS = 5 * 60 * 1000
const MAX_WAITING = 1_000

export class EndLater {
  readonly #options: EndLaterOptions
  /** By what is to end: whoever obeys Retry-After asks for the same again and again. */
  readonly #waiting = new Map<string, Unfinished>()
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(options: EndLaterOptions) {
    this.#options = options
  }

  add(unfinished: Unfinished): void {
    const what = JSON.stringify(unfinished.ending)
    const isFull = this.#waiting.size >= MAX_WAITING && !this.#waiting.has(what)
    if (this.#stopped || isFull) return this.#giveUp(unfinished)
    // The newest counts: it means every session until now, and has the whole time before it.
    this.#waiting.set(what, unfinished)
    this.#schedule()
  }

  /** Waits for the statement under way. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#running
    for (const one of this.#waiting.values()) this.#giveUp(one)
    this.#waiting.clear()
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#stopped) return
    this.#timer = setTimeout(() => {
      this.#running = this.#tryAll().finally(() => {
        this.#timer = undefined
        if (this.#waiting.size > 0) this.#schedule()
      })
    }, RETRY_MS)
    this.#timer.unref()
  }

  async #tryAll(): Promise<void> {
    for (const [what, one] of this.#waiting) {
      if (this.#stopped) return
      const ageMs = performance.now() - one.askedAt
      const isGone = await this.#options.end(one.ending, one.cause, ageMs).then(
        () => true,
        () => false
      )
      if (!isGone && ageMs <= PATIENCE_MS) continue
      // It may have been asked for again meanwhile.
      if (this.#waiting.get(what) === one) this.#waiting.delete(what)
      if (isGone) this.#options.onEnded(one.cause, ageMs)
      else this.#giveUp(one)
    }
  }

  #giveUp({ cause, askedAt }: Unfinished): void {
    this.#options.onGivenUp(cause, performance.now() - askedAt)
  }
}
