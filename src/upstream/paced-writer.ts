/** Hands an answer's body to the client no faster than the client takes it. */
import type { ServerResponse } from 'node:http'

/**
 * Who takes nothing for so many times of the limit is gone. The kernel reports progress in steps of up to megabytes, so
 * a single one would cut off slow but honest readers.
 */
export const STALLED_AFTER = 5

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
    // What had come already when the client fell behind is written all the same: one 'drain' ends it for all.
    if (this.#stalled !== undefined) return false
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
    this.#stalled = undefined
    this.#resume()
  }
}
