/**
 * Hears NOTIFY on one connection of its own, and knows whether it does: a transaction pooler accepts LISTEN and then
 * stays silent for ever, and so does a connection that a firewall has forgotten. So it sends itself a word every five
 * seconds; one that does not come back within a second ends the connection and begins a new one.
 */
import { randomBytes } from 'node:crypto'
import type { Sql } from 'postgres'

const TEST_MS = 5_000
const ANSWER_MS = 1_000
/** To connect and to listen, or to send a word: whoever needs longer has gone silent. */
const SILENCE_MS = 3_000
const FIRST_RETRY_MS = 100
const LONGEST_RETRY_MS = 5_000

export interface ListenerOptions {
  /** A new client on a session-mode connection. */
  readonly connect: () => Sql
  /** Over another connection; the word to ourselves goes by it. */
  readonly notify: (channel: string, payload: string) => Promise<unknown>
  readonly channels: readonly string[]
  readonly onMessage: (channel: string, payload: string) => void
  /** Heard from now on, or no longer; `deaf`: LISTEN was accepted and nothing arrives. */
  readonly onChange: (state: ListenerState) => void
}

export type ListenerState = 'hears' | 'deaf' | 'away'

export class Listener {
  readonly #options: ListenerOptions
  readonly #name = randomBytes(6).toString('base64url')
  #words = 0
  #state: ListenerState | null = null
  #heard = false
  /** Ends the pause under way. */
  #wake: () => void = () => {}
  /** Ends the wait for an answer of PostgreSQL's. */
  #giveUp: () => void = () => {}
  #running: Promise<void> = Promise.resolve()
  #ended = false

  constructor(options: ListenerOptions) {
    this.#options = options
  }

  get state(): ListenerState {
    return this.#state ?? 'away'
  }

  /** Returns at once: nothing depends on being heard, only how soon. */
  start(): void {
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#ended = true
    this.#wake()
    this.#giveUp()
    await this.#running
  }

  async #run(): Promise<void> {
    for (let retryMs = FIRST_RETRY_MS; !this.#ended; retryMs = Math.min(2 * retryMs, LONGEST_RETRY_MS)) {
      const sql = this.#options.connect()
      try {
        await this.#answer(this.#listen(sql))
        while (!this.#ended) {
          if (!(await this.#hearsItself())) break
          this.#become('hears')
          retryMs = FIRST_RETRY_MS
          await this.#pause(TEST_MS)
        }
        if (!this.#ended) this.#become('deaf')
      } catch {
        if (!this.#ended) this.#become('away')
      }
      void sql.end({ timeout: 0 }).catch(() => {})
      if (!this.#ended) await this.#pause(retryMs)
    }
  }

  async #listen(sql: Sql): Promise<void> {
    const { channels, onMessage } = this.#options
    for (const channel of channels) {
      const hear = (payload: string) => this.#hear(channel, payload)
      // After every reconnection too: what was sent meanwhile is lost, so look.
      await sql.listen(channel, hear, () => onMessage(channel, ''))
    }
  }

  #hear(channel: string, payload: string): void {
    if (payload === this.#word) {
      this.#heard = true
      this.#wake()
    } else if (!payload.startsWith('ping ')) {
      this.#options.onMessage(channel, payload)
    }
  }

  get #word(): string {
    return `ping ${this.#name} ${this.#words}`
  }

  /** Rejects when the word could not be sent: that is the database, not our ears. */
  async #hearsItself(): Promise<boolean> {
    this.#words++
    this.#heard = false
    await this.#answer(this.#options.notify(this.#options.channels[0] ?? '', this.#word))
    if (!this.#heard) await this.#pause(ANSWER_MS)
    return this.#heard
  }

  #answer(work: Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#giveUp = () => reject(new Error('PostgreSQL did not answer'))
      const timer = setTimeout(this.#giveUp, SILENCE_MS).unref()
      work.then(resolve, reject).finally(() => clearTimeout(timer))
    })
  }

  #pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, ms)
      timer.unref()
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #become(state: ListenerState): void {
    if (this.#state === state) return
    this.#state = state
    this.#options.onChange(state)
  }
}
