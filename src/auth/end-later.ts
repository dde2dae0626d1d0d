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
  #waiting: Unfinished[] = []
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(options: EndLaterOptions) {
    this.#options = options
  }

  add(unfinished: Unfinished): void {
    if (this.#stopped || this.#waiting.length >= MAX_WAITING) return this.#giveUp(unfinished)
    this.#waiting.push(unfinished)
    this.#schedule()
  }

  /** Waits for the statement under way. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#running
    for (const one of this.#waiting.splice(0)) this.#giveUp(one)
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#stopped) return
    this.#timer = setTimeout(() => {
      this.#running = this.#tryAll().finally(() => {
        this.#timer = undefined
        if (this.#waiting.length > 0) this.#schedule()
      })
    }, RETRY_MS)
    this.#timer.unref()
  }

  async #tryAll(): Promise<void> {
    const failed: Unfinished[] = []
    while (!this.#stopped) {
      const one = this.#waiting.shift()
      if (one === undefined) break
      const ageMs = performance.now() - one.askedAt
      const isGone = await this.#options.end(one.ending, one.cause, ageMs).then(
        () => true,
        () => false
      )
      if (isGone) this.#options.onEnded(one.cause, ageMs)
      else if (ageMs > PATIENCE_MS) this.#giveUp(one)
      else failed.push(one)
    }
    this.#waiting.push(...failed)
  }

  #giveUp({ cause, askedAt }: Unfinished): void {
    this.#options.onGivenUp(cause, performance.now() - askedAt)
  }
}
