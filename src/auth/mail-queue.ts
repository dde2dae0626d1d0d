/** Mails on their way: bounded, a few at a time, tried three times (R65), and nobody waits for them. */
import { createHash, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'

export interface Mail {
  readonly kind: 'verification' | 'password-reset' | 'welcome'
  readonly userId: string
  readonly to: string
  readonly link: string
  readonly subject: string
  readonly text: string
  readonly html: string
}

/** `key` is the same for every attempt at one mail. `PermanentMailError`: another attempt cannot help. */
export type MailTransport = (mail: Mail, key: string) => Promise<void>

export class PermanentMailError extends Error {
  override readonly name = 'PermanentMailError'
}

const MAX_WAITING = 1000
const AT_ONCE = 4
const PAUSES_MS = [1_000, 4_000]

export class MailQueue {
  readonly #send: MailTransport
  readonly #log: FastifyBaseLogger
  readonly #pausesMs: readonly number[]
  readonly #waiting: Mail[] = []
  readonly #running = new Set<Promise<void>>()
  readonly #closing = new AbortController()

  /** `pausesMs`: how long to wait before the second attempt, the third, … */
  constructor(send: MailTransport, log: FastifyBaseLogger, pausesMs: readonly number[] = PAUSES_MS) {
    this.#send = send
    this.#log = log
    this.#pausesMs = pausesMs
  }

  add(mail: Mail): void {
    if (this.#closing.signal.aborted || this.#waiting.length >= MAX_WAITING) {
      this.#log.error({ event: 'mail.dropped', ...facts(mail) })
      return
    }
    this.#waiting.push(mail)
    this.#next()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    for (const mail of this.#waiting.splice(0)) this.#log.error({ event: 'mail.dropped', ...facts(mail) })
    await Promise.all(this.#running)
  }

  #next(): void {
    if (this.#running.size >= AT_ONCE) return
    const mail = this.#waiting.shift()
    if (mail === undefined) return
    const work: Promise<void> = this.#deliver(mail).finally(() => {
      this.#running.delete(work)
      this.#next()
    })
    this.#running.add(work)
  }

  async #deliver(mail: Mail): Promise<void> {
    const key = randomUUID()
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#send(mail, key)
        this.#log.info({ event: 'mail.sent', ...facts(mail), attempts: attempt + 1 })
        return
      } catch (error) {
        const pause = error instanceof PermanentMailError ? undefined : this.#pausesMs[attempt]
        if (pause === undefined || this.#closing.signal.aborted) {
          this.#log.error({ event: 'mail.failed', ...facts(mail), attempts: attempt + 1, error: reasonOf(error) })
          return
        }
        await delay(pause, undefined, { signal: this.#closing.signal, ref: false }).catch(() => {})
      }
    }
  }
}

/** Enough to find the mail in the provider's own log, without the address itself. */
function facts({ kind, userId, to }: Mail) {
  return { kind, userId, toHash: createHash('sha256').update(to.toLowerCase()).digest('hex').slice(0, 16) }
}

/** Providers quote addresses in their messages; their codes say enough. */
function reasonOf(error: unknown): string {
  const { name, code, status } = error as { name?: string; code?: unknown; status?: unknown }
  return String(status ?? code ?? name ?? typeof error)
}
