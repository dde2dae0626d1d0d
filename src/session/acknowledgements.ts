/**
 * Asks the other gateways whether a change is in force with them, and answers when they ask. A question bears a
 * number of its own: an answer to an earlier one says nothing about what was committed since.
 *
 *   ask <asker> <n>                  apply everything committed until now, and say so
 *   ack <asker> <n> <from> <nonce>   done; in the data of Redis that bears this nonce, '-': in memory only
 */
export interface AcknowledgementOptions {
  readonly id: string
  /** To every gateway. A loss costs time, never truth. */
  readonly send: (message: string) => Promise<unknown>
  /** Applies what was committed before the call; the nonce of the data in Redis it went to, empty for memory only. */
  readonly apply: () => Promise<string>
}

export interface Question {
  /** By gateway, the nonce it answered with; empty for memory only. */
  readonly answers: ReadonlyMap<string, string>
  /** Resolves at the next answer. */
  readonly next: () => Promise<void>
  readonly close: () => void
}

interface OpenQuestion {
  readonly answers: Map<string, string>
  tell: () => void
}

export class Acknowledgements {
  readonly #options: AcknowledgementOptions
  readonly #open = new Map<string, OpenQuestion>()
  #counter = 0

  constructor(options: AcknowledgementOptions) {
    this.#options = options
  }

  ask(): Question {
    const n = String(++this.#counter)
    const answers = new Map<string, string>()
    const open: OpenQuestion = { answers, tell: () => {} }
    this.#open.set(n, open)
    void this.#options.send(`ask ${this.#options.id} ${n}`).catch(() => {})
    return {
      answers,
      next: () =>
        new Promise(resolve => {
          open.tell = resolve
        }),
      close: () => this.#open.delete(n)
    }
  }

  hear(message: string): void {
    const [word, asker, n = '', from = '', nonce = ''] = message.split(' ')
    if (word === 'ask' && asker !== this.#options.id) void this.#answer(`${asker} ${n}`)
    if (word !== 'ack' || asker !== this.#options.id) return
    const open = this.#open.get(n)
    open?.answers.set(from, nonce === '-' ? '' : nonce)
    open?.tell()
  }

  /** Where it cannot be applied there is no answer, and the asker waits out our lease. */
  async #answer(question: string): Promise<void> {
    const { id, send, apply } = this.#options
    await apply()
      .then(
        nonce => send(`ack ${question} ${id} ${nonce === '' ? '-' : nonce}`),
        () => {}
      )
      .catch(() => {})
  }
}
