/**
 * The truth: asks PostgreSQL whether a token's session is live. Tokens of one event-loop turn go together, one as a
 * plain prepared statement, several as one `= ANY`, one statement after the other (departures.ts): each costs this
 * process some 60 µs and PostgreSQL more than 100, and so they keep to warm connections (2026-11-21).
 *
 * Nobody joins a statement that was already sent (revocation.md, counterexample 10): whoever comes later for the
 * same token waits for it to end and goes with the next one. So a herd on one token costs two statements, and
 * none of the herd is answered from before it asked.
 */
import { causeMark } from '../../schema/cause-sql.js'
import { type GuardedSql, unavailable } from '../data/guarded-sql.js'
import { GatewayError } from '../errors.js'
import { Departures } from './departures.js'
import { type SessionQuery, tokensParameter } from './session-query.js'
import { forEach, type StoreWaiter, withoutOld } from './store-waiter.js'
import { createRowReader, type SessionRow } from './stored-session.js'

/** Tokens, not requests: more cannot be answered within the time anybody waits. */
const MAX_WAITING = 10_000
const MAX_BATCH = 500
const SOON_MS = 5
const MAX_WAIT_MS = 250
const SWEEP_MS = 50

export class SessionStore {
  readonly #sql: GuardedSql
  readonly #query: SessionQuery
  readonly #readRows = createRowReader()
  readonly #waiting = new Map<string, StoreWaiter>()
  /** Tokens of statements under way, each with those who came too late for it. */
  readonly #sent = new Map<string, StoreWaiter | null>()
  readonly #departures: Departures
  #sweeping = false

  /** `slots`: how many statements may be under way at once; no more than the pool has connections. */
  constructor(sql: GuardedSql, query: SessionQuery, slots: number) {
    this.#sql = sql
    this.#query = query
    this.#departures = new Departures({
      most: slots,
      soonMs: SOON_MS,
      hasWaiting: () => this.#waiting.size > 0,
      send: () => this.#send()
    })
  }

  /** The answer comes by `found` or `failed`, never before this returns except when the queue is full. */
  ask(waiter: StoreWaiter): void {
    const { token } = waiter
    waiter.since = performance.now()
    const late = this.#sent.get(token)
    if (late !== undefined) {
      waiter.next = late
      this.#sent.set(token, waiter)
      this.#sweepLater()
      return
    }
    const first = this.#waiting.get(token)
    if (first === undefined && this.#waiting.size >= MAX_WAITING) return waiter.failed(unavailable('queue_full'))
    waiter.next = first ?? null
    this.#waiting.set(token, waiter)
    this.#departures.call()
    this.#sweepLater()
  }

  /**
   * Deletes the session of this token; false when there was none. `cause`: for the log and the metrics of every node.
   * Throws AUTH_SERVICE_UNAVAILABLE when it cannot know.
   */
  async deleteByToken(token: string, cause = 'deleted'): Promise<boolean> {
    const { count } = await this.#sql.query(this.#query.remove + causeMark(cause), [token])
    return count > 0
  }

  async #send(): Promise<void> {
    const batch = this.#nextBatch()
    const askedAt = performance.now()
    let unanswered: readonly StoreWaiter[] = batch
    try {
      const { single, batch: many, replaced } = this.#query
      const [only] = batch
      // For one token the plain statement: among few users PostgreSQL takes 67 µs for it, 140 for `= ANY` (2026-11-21).
      unanswered = await (batch.length === 1 && only !== undefined
        ? this.#ask(single, only.token, batch)
        : this.#ask(many, tokensOf(batch), batch))
      if (replaced !== null && unanswered.length > 0) {
        unanswered = await this.#ask(replaced, tokensOf(unanswered), unanswered)
      }
      for (const first of unanswered) forEach(first, waiter => waiter.found(null, askedAt))
    } catch (cause) {
      const error = cause instanceof GatewayError ? cause : unavailable('postgres', cause)
      for (const first of unanswered) forEach(first, waiter => waiter.failed(error))
    }
    for (const { token } of unanswered) this.#release(token)
  }

  #nextBatch(): StoreWaiter[] {
    const batch: StoreWaiter[] = []
    for (const [token, waiter] of this.#waiting) {
      batch.push(waiter)
      this.#waiting.delete(token)
      this.#sent.set(token, null)
      if (batch.length === MAX_BATCH) break
    }
    return batch
  }

  /** The statement that was sent for it has ended: whoever came too late for it goes with the next. */
  #release(token: string): void {
    const late = this.#sent.get(token) ?? null
    this.#sent.delete(token)
    if (late === null) return
    this.#waiting.set(token, late)
    this.#departures.call()
  }

  /** Answers those whose token has a row; returns the others. */
  async #ask(text: string, parameter: string, batch: readonly StoreWaiter[]): Promise<readonly StoreWaiter[]> {
    const askedAt = performance.now()
    const found = this.#readRows(await this.#sql.values<SessionRow>(text, [parameter]))
    const unanswered: StoreWaiter[] = []
    for (const first of batch) {
      const stored = found.get(first.token)
      if (stored === undefined) {
        unanswered.push(first)
        continue
      }
      this.#release(first.token)
      forEach(first, waiter => waiter.found(stored, askedAt))
    }
    return unanswered
  }

  #sweepLater(): void {
    if (this.#sweeping) return
    this.#sweeping = true
    const due = performance.now() + SWEEP_MS
    setTimeout(() => {
      this.#sweeping = false
      const now = performance.now()
      const tooOld = now - MAX_WAIT_MS
      // While this process itself stood still nobody was served, and the answer may be there unread.
      const stalledMs = Math.max(0, now - due)
      for (const [token, first] of this.#waiting) {
        const left = withoutOld(first, tooOld, stalledMs)
        if (left === null) this.#waiting.delete(token)
        else this.#waiting.set(token, left)
      }
      let late = false
      for (const [token, first] of this.#sent) {
        const left = withoutOld(first, tooOld, stalledMs)
        this.#sent.set(token, left)
        late ||= left !== null
      }
      if (late || this.#waiting.size > 0) this.#sweepLater()
    }, SWEEP_MS)
  }
}

function tokensOf(batch: readonly StoreWaiter[]): string {
  return tokensParameter(batch.map(({ token }) => token))
}
