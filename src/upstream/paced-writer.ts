/** Hands an answer's body to the client no faster than the client takes it. */
import type { ServerResponse } from 'node:http'

/**
 * A client that takes nothing for so many idle times is gone. The kernel reports progress in steps of up to a
 * megabyte, so one idle time would cut off slow but honest readers.
 */
const STALLED_AFTER = 5

export class PacedWriter {
  readonly #response: ServerResponse
  readonly #resume: () => void
  readonly #patienceMs: number
  #stalled: NodeJS.Timeout | undefined

  /** `resume` is called whenever the client is ready again after a `write` that returned false. */
  constructor(response: ServerResponse, resume: () => void, idleTimeoutMs: number) {
    this.#response = response
    this.#resume = resume
    this.#patienceMs = STALLED_AFTER * idleTimeoutMs
  }

  /** False: the client is behind; write no more until `resume`. */
  write(chunk: Buffer): boolean {
    if (this.#response.write(chunk)) return true
    this.#response.once('drain', this.#onDrain)
    this.#stalled = setTimeout(() => this.#response.destroy(), this.#patienceMs)
    return false
  }

  stop(): void {
    clearTimeout(this.#stalled)
    this.#response.off('drain', this.#onDrain)
  }

  readonly #onDrain = (): void => {
    clearTimeout(this.#stalled)
    this.#resume()
  }
}
