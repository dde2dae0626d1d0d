/**
 * Carries every committed change from PostgreSQL into the cache, and proves by a heartbeat that this is done:
 * twice a second, and on demand before the answer to a revocation leaves.
 *
 *   1 read Redis's clock and its cursor   2 poll the outbox from that cursor   3 INVALIDATE all of it
 *   4 move the cursor, and renew the heartbeat until the clock of step 1 plus three seconds
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../errors.js'
import type { DatabaseClock } from './database-clock.js'
import type { Outbox, OutboxEvent, Poll } from './outbox.js'
import type { CacheState, RedisSessionCache } from './session-cache.js'

const POLL_MS = 500
const HEARTBEAT_MS = 3000
/** Two clocks measure the same three seconds. */
const CLOCK_MARGIN_MS = 100
const RETRY_MS = 100
const ATTEMPTS = 3
/** Rows are forgotten below a cursor that old: a copy of Redis's data that takes over is seconds old, never minutes. */
const COLLECT_MS = 15 * 60 * 1000

export interface FeedOptions {
  readonly outbox: Outbox
  /** Null: there is nothing to keep current; only the clock is read. */
  readonly cache: RedisSessionCache | null
  readonly clock: DatabaseClock
  /** An event is in force on every node, so long after its change was made. */
  readonly onEvent?: (kind: OutboxEvent['kind'], lagMs: number) => void
  /** Whether this process keeps the cache current; called when that changes. */
  readonly onChange?: (current: boolean, reason: string) => void
}

/** Events ahead of the cursor that are applied nevertheless: some older transaction is still open. */
interface Applied {
  readonly nonce: string
  readonly beats: number
  readonly ids: ReadonlySet<string>
}

const NOTHING: Applied = { nonce: '', beats: 0, ids: new Set() }

/**
 * Whoever renews the heartbeat vouches for entries that others filled, perhaps before this process was born. So the
 * cursor is not ours: it lies in Redis, beside the data it speaks of, and moves only together with the heartbeat.
 * A fleet that was down for ten minutes takes it up where it was left, and has applied what happened since before
 * it vouches for anything. Data that came back from an older copy brings its older cursor along. Where there is no
 * cursor, or one of another server (a new database, a failover), nothing can be vouched for: the value of the
 * heartbeat changes, which ends all entries and leases at once, and the cursor begins at the present.
 */
export class RevocationFeed {
  readonly #options: FeedOptions
  #running: Promise<void> = Promise.resolve()
  #queued: Promise<void> | null = null
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  #applied = NOTHING
  #current: boolean | null = null
  /** Of the last poll that was applied. */
  #cursor = ''
  #collect = { dueAt: 0, cursor: '' }

  constructor(options: FeedOptions) {
    this.#options = options
  }

  /** True while what this process polls reaches the cache. */
  get current(): boolean {
    return this.#current === true
  }

  /** Polls once, then twice a second. Throws AUTH_SERVICE_UNAVAILABLE when PostgreSQL does not answer. */
  async start(): Promise<void> {
    await this.#pollAfterNow().catch(throwOutage)
    this.#schedule()
  }

  /** Waits for the poll under way. The heartbeat lapses by itself. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await (this.#queued ?? this.#running).catch(() => {})
  }

  /**
   * Resolves when everything committed before the call is in force on every node: applied, or, where Redis cannot be
   * reached from here, after every heartbeat that does not know of it has lapsed. Throws AUTH_SERVICE_UNAVAILABLE when
   * PostgreSQL cannot say what was committed.
   */
  async settle(): Promise<void> {
    if (this.#options.cache === null) return
    const end = performance.now() + HEARTBEAT_MS + CLOCK_MARGIN_MS
    for (;;) {
      const applied = await this.#pollAfterNow().then(() => true, throwOutage)
      const left = end - performance.now()
      if (applied || left <= 0) return
      await sleep(Math.min(RETRY_MS, left))
    }
  }

  /** A poll that begins after this call; all who call before it begins share it. */
  #pollAfterNow(): Promise<void> {
    this.#queued ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#queued = null
        this.#running = this.#poll()
        return this.#running
      })
    return this.#queued
  }

  #schedule(): void {
    if (this.#stopped) return
    this.#timer = setTimeout(() => {
      void this.#pollAfterNow()
        .then(() => this.#collectSometimes())
        .catch(() => {})
        .finally(() => this.#schedule())
    }, POLL_MS)
    this.#timer.unref()
  }

  /** Rejects with AUTH_SERVICE_UNAVAILABLE where PostgreSQL is at fault, with anything else where Redis is. */
  async #poll(): Promise<void> {
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (await this.#attempt()) return this.#note(true, 'applied')
      }
      throw new Error('the state in Redis keeps changing')
    } catch (error) {
      this.#note(false, error instanceof GatewayError ? 'postgres' : 'redis')
      throw error
    }
  }

  /** False: begin again, the state in Redis has become another one. */
  async #attempt(): Promise<boolean> {
    const { cache } = this.#options
    if (cache === null) {
      this.#cursor = (await this.#readOutbox(null)).cursor
      return true
    }
    const opened = await cache.open().catch(async (error: unknown) => {
      // The clock goes on being read.
      await this.#readOutbox(null)
      throw error
    })
    const { state, now } = opened
    const poll = await this.#readOutbox(state.cursor === '' ? null : state.cursor)
    cache.database = poll.database

    // After a mass change, to begin anew is less work for everybody than to apply it.
    if (state.database !== poll.database || !poll.complete) {
      await cache.reset(state, poll.database, poll.epoch, poll.cursor)
      return false
    }
    const events = this.#unapplied(poll, state)
    await cache.invalidate(events)
    const beats = await cache.beat(state, poll.epoch, poll.cursor, now + HEARTBEAT_MS)
    if (beats === 0) return false
    this.#cursor = poll.cursor
    this.#applied = { nonce: state.nonce, beats, ids: new Set(poll.events.map(({ id }) => id)) }
    for (const { kind, at } of events) this.#options.onEvent?.(kind, this.#options.clock.now() - at)
    return true
  }

  async #readOutbox(cursor: string | null): Promise<Poll> {
    const askedAt = performance.now()
    const poll = await this.#options.outbox.poll(cursor)
    this.#options.clock.set(poll.now, askedAt)
    return poll
  }

  /** What is applied in an older copy of the data is not known to be applied in this one: its beats tell. */
  #unapplied({ events }: Poll, { nonce, beats }: CacheState): readonly OutboxEvent[] {
    const { ids } = this.#applied.nonce === nonce && this.#applied.beats <= beats ? this.#applied : NOTHING
    return ids.size === 0 ? events : events.filter(({ id }) => !ids.has(id))
  }

  #note(current: boolean, reason: string): void {
    if (this.#current === current) return
    this.#current = current
    this.#options.onChange?.(current, reason)
  }

  async #collectSometimes(): Promise<void> {
    const { dueAt, cursor } = this.#collect
    if (performance.now() < dueAt) return
    this.#collect = { dueAt: performance.now() + COLLECT_MS, cursor: this.#cursor }
    if (cursor !== '') await this.#options.outbox.collect(cursor)
  }
}

/** PostgreSQL's failures end it; of Redis's the caller knows what to do. */
function throwOutage(error: unknown): false {
  if (error instanceof GatewayError) throw error
  return false
}
