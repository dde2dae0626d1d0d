/**
 * One reading of the outbox, applied: in Redis, which all share, and in this process's memory.
 *
 *   1 read Redis's clock and its cursor   2 poll the outbox from that cursor, or from our own if it is earlier
 *   3 INVALIDATE all of it   4 move the cursor, and renew the heartbeat until the clock of step 1 plus three seconds
 *   5 drop the same from memory, and take it as proven current until step 1 plus the lease
 *
 * Memory comes after Redis: what is looked up after the drop must not find in Redis what was dropped here.
 */
import { databaseCode } from '../data/postgres-error.js'
import type { CacheState } from './cache-state.js'
import type { DatabaseClock } from './database-clock.js'
import type { Fleet } from './fleet.js'
import type { LocalCache } from './local-cache.js'
import type { Outbox, OutboxEvent, Peer, Poll } from './outbox.js'
import type { RedisSessionCache } from './session-cache.js'
import { earlier, seenBy } from './snapshot.js'

export const HEARTBEAT_MS = 3000
const ATTEMPTS = 3
/** Well below the hour that rows of the outbox are kept. */
const SILENCE_MS = 10 * 60 * 1000

export interface ApplierOptions {
  readonly outbox: Outbox
  readonly clock: DatabaseClock
  /** Null: without Redis, or without triggers. */
  readonly cache: RedisSessionCache | null
  readonly local: LocalCache | null
  readonly fleet: Fleet
  /** An event is in force on this node, so long after its change was made. */
  readonly onEvent?: (event: OutboxEvent, lagMs: number) => void
  /**
   * What has changed is known to nobody: another database, too many events, or so long a silence that rows are gone.
   */
  readonly onUnknown?: () => void
}

export interface Applied {
  readonly others: readonly Peer[]
  /** Of the data in Redis that everything was applied to; empty where it was not. */
  readonly nonce: string
  /** False: triggers are missing, so both caches are out of use. */
  readonly firing: boolean
}

interface Opened {
  readonly now: number
  readonly state: CacheState
}

/**
 * Whoever renews the heartbeat vouches for entries that others filled, perhaps before this process was born. So the
 * cursor of Redis is not ours: it lies beside the data it speaks of, and moves only together with the heartbeat.
 * A fleet that was down for ten minutes takes it up where it was left, and has applied what happened since before
 * it vouches for anything. Data that came back from an older copy brings its older cursor along. Where there is no
 * cursor, or one of another server (a new database, a failover), nothing can be vouched for: the value of the
 * heartbeat changes, which ends all entries and leases at once, and the cursor begins at the present.
 */
export class Applier {
  readonly #options: ApplierOptions
  /** Of the last poll that was applied here. */
  #here: Pick<Poll, 'database' | 'epoch' | 'cursor'> = { database: '', epoch: '', cursor: '' }
  #appliedAt = Number.NEGATIVE_INFINITY
  #lastNonce = ''
  #firing = false

  constructor(options: ApplierOptions) {
    this.#options = options
  }

  /** Of the last poll that was applied. */
  get cursor(): string {
    return this.#here.cursor
  }

  /** Of the data in Redis as it was last seen. */
  get lastNonce(): string {
    return this.#lastNonce
  }

  /**
   * Throws AUTH_SERVICE_UNAVAILABLE when PostgreSQL does not answer. Where Redis fails, memory is served all the same.
   */
  async apply(): Promise<Applied> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const applied = await this.#attempt(attempt === ATTEMPTS - 1)
      if (applied !== null) return applied
    }
    throw new TypeError('The last attempt always answers.')
  }

  /** Null: begin again, the state in Redis has become another one. */
  async #attempt(isLast: boolean): Promise<Applied | null> {
    const { cache, outbox, clock, fleet } = this.#options
    const begunAt = performance.now()
    const opened = cache === null ? null : await cache.open().catch(() => null)
    const from = this.#from(opened)
    let poll: Poll
    const askedAt = performance.now()
    try {
      poll = await outbox.poll(from, fleet.id)
    } catch (outage) {
      if (!wasRefused(outage)) await this.#bridge(opened)
      throw outage
    }
    clock.set(poll.now, askedAt)
    this.#firing = poll.firing
    const nonce = opened === null ? '' : await this.#applyThere(opened, poll, from).catch(() => '')
    if (nonce === null && !isLast) {
      // Emptied and moved on: the next attempt begins where Redis is.
      if (!poll.complete) this.#applyHere(poll, begunAt, '')
      return null
    }
    // At once: a heartbeat that is kept alive from here must not vouch for what was not applied.
    if (cache !== null) fleet.reachedRedis(begunAt, nonce !== null && nonce !== '')
    this.#applyHere(poll, begunAt, nonce ?? '')
    return { others: poll.others, nonce: nonce ?? '', firing: poll.firing }
  }

  /** Cursors of two databases cannot be compared; ours is the one that memory needs. */
  #from(opened: Opened | null): string | null {
    const { database, cursor: here } = this.#here
    const there = opened?.state.cursor ?? ''
    if (here === '') return there === '' ? null : there
    if (there === '' || opened?.state.database.startsWith(`${database}@`) !== true) return here
    return earlier(here, there)
  }

  /** The nonce; null: the state has become another one. Rejects where Redis fails. */
  async #applyThere({ state, now }: Opened, poll: Poll, from: string | null): Promise<string | null> {
    const { cache } = this.#options
    if (cache === null) return ''
    // After a failover too all begins anew: data may go to another server and come back with a cursor that is not its
    // own.
    const database = `${poll.database}@${state.run}`
    cache.database = database
    const isOther = state.database !== database
    if (isOther || !poll.complete) {
      // After a mass change, to begin anew is less work for everybody than to apply it. But too many since our own
      // cursor are not too many since that of Redis: another node may have begun anew already.
      if (isOther || from === state.cursor) await cache.reset(state, database, poll.epoch, poll.cursor)
      return null
    }
    // Begun anew when they went, and since then nobody fills and nobody vouches: there is nothing to apply.
    if (!poll.firing) return (this.#lastNonce = state.nonce)
    const isApplied = seenBy(state.cursor)
    const events = poll.events.filter(event => !isApplied(event))
    await cache.invalidate(events, state.run)
    const beats = await cache.beat(state, poll.epoch, poll.cursor, now + HEARTBEAT_MS)
    if (beats === 0) return null
    this.#lastNonce = state.nonce
    return state.nonce
  }

  #applyHere(poll: Poll, begunAt: number, nonce: string): void {
    const { cache, local, fleet, clock, onEvent, onUnknown } = this.#options
    const { database, epoch, cursor, events, complete } = poll
    const isKnown = seenBy(this.#here.cursor)
    const isOther = database !== this.#here.database || epoch !== this.#here.epoch
    if (local !== null) {
      if (isOther || !complete) local.clear()
      else local.drop(events)
      local.setRedisBehind(cache !== null && nonce === '')
      local.prove(poll.firing ? fleet.provenUntil(begunAt) : 0)
    }
    this.#here = { database, epoch, cursor }
    if (isOther || !complete || begunAt - this.#appliedAt > SILENCE_MS) onUnknown?.()
    this.#appliedAt = begunAt
    if (onEvent === undefined || !complete) return
    for (const event of events) if (!isKnown(event)) onEvent(event, clock.now() - event.at)
  }

  /** Without PostgreSQL nobody learns of a change, and nobody can acknowledge one while our grace lease runs. */
  async #bridge(opened: Opened | null): Promise<void> {
    const { cache, fleet } = this.#options
    const left = Math.min(HEARTBEAT_MS, fleet.graceLeft)
    if (cache === null || opened === null || opened.state.database !== cache.database) return
    if (!this.#firing || left <= 0) return
    const { state, now } = opened
    fleet.bridges(left)
    await cache.beat(state, state.epoch, state.cursor, now + left).catch(() => {})
  }
}

/**
 * PostgreSQL is there and does not take the statement (class 42: no such table, no right): others may go on changing.
 */
function wasRefused(outage: unknown): boolean {
  return outage instanceof Error && databaseCode(outage.cause)?.startsWith('42') === true
}
