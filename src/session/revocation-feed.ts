/**
 * Carries every committed change from PostgreSQL into the caches: twice a second, at every NOTIFY, and on demand
 * before the answer to a revocation leaves.
 */
import { Acknowledgements } from './acknowledgements.js'
import type { Applied, Applier } from './applier.js'
import type { Fleet } from './fleet.js'
import type { Outbox, Peer } from './outbox.js'
import { settle, type Waited } from './settle.js'

const POLL_MS = 500
/** Rows are forgotten below a cursor that old: a copy of Redis's data that takes over is seconds old, never minutes. */
const COLLECT_MS = 15 * 60 * 1000

/** Everything committed is applied, or what keeps it from that: triggers that are gone, Redis, PostgreSQL. */
export type FeedState = 'applied' | 'triggers' | 'redis' | 'postgres'

export interface FeedOptions {
  readonly applier: Applier
  readonly fleet: Fleet
  readonly outbox: Outbox
  /** False: without triggers there is nothing to apply, and only the clock is read. */
  readonly hasOutbox: boolean
  readonly hasRedis: boolean
  readonly localLeaseMs: number
  /** To every gateway on this database. */
  readonly send: (message: string) => Promise<unknown>
  /** Called when that changes. */
  readonly onChange?: (state: FeedState) => void
  /** How long an answer waited for the other gateways. */
  readonly onWaited?: Waited
}

export class RevocationFeed {
  readonly #options: FeedOptions
  readonly #acknowledgements: Acknowledgements
  #running: Promise<unknown> = Promise.resolve()
  #queued: Promise<Applied> | null = null
  #timer: NodeJS.Timeout | undefined
  #round: Promise<void> = Promise.resolve()
  readonly #stopped = new AbortController()
  #state: FeedState | null = null
  #appliedAt = Number.NEGATIVE_INFINITY
  #others: readonly Peer[] = []
  #collect = { dueAt: 0, cursor: '' }
  #collecting: Promise<void> = Promise.resolve()

  constructor(options: FeedOptions) {
    this.#options = options
    this.#acknowledgements = new Acknowledgements({
      id: options.fleet.id,
      send: options.send,
      apply: async () => (await this.#applyAfterNow()).nonce
    })
  }

  /** Null: nothing was tried yet. */
  get state(): FeedState | null {
    return this.#state
  }

  get current(): boolean {
    return this.#state === 'applied'
  }

  /** Since everything committed was last applied here, in ms. */
  get age(): number {
    return performance.now() - this.#appliedAt
  }

  /** Polls once, then twice a second. Throws AUTH_SERVICE_UNAVAILABLE when PostgreSQL does not answer. */
  async start(): Promise<void> {
    if (this.#options.hasOutbox) await this.#options.fleet.renewWhenDue(false).catch(() => {})
    await this.#applyAfterNow()
    this.#schedule()
  }

  /** Waits for the statements under way. The heartbeat lapses by itself. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    clearTimeout(this.#timer)
    await (this.#queued ?? this.#running).catch(() => {})
    // A registration that is still under way would come after the one that strikes us off.
    await this.#round
    if (this.#options.hasOutbox) await this.#options.fleet.leave().catch(() => {})
    await this.#collecting
  }

  /** A NOTIFY: from a trigger, empty, or from another gateway. */
  hear(message: string): void {
    if (this.#stopped.signal.aborted) return
    if (message === '') void this.#applyAfterNow().catch(() => {})
    else this.#acknowledgements.hear(message)
  }

  /** See `settle`; without an outbox there is nothing that could be settled. */
  async settle(): Promise<void> {
    if (!this.#options.hasOutbox) return
    await settle({
      ...this.#options,
      apply: () => this.#applyAfterNow(),
      ask: () => this.#acknowledgements.ask(),
      expectsOthers: this.#others.length > 0
    })
  }

  /** An application that begins after this call; all who call before it begins share it. */
  #applyAfterNow(): Promise<Applied> {
    this.#queued ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#queued = null
        const applying = this.#apply()
        this.#running = applying
        return applying
      })
    return this.#queued
  }

  async #apply(): Promise<Applied> {
    const begunAt = performance.now()
    try {
      const applied = await this.#options.applier.apply()
      this.#appliedAt = begunAt
      this.#others = applied.others
      const reaches = applied.nonce !== '' || !this.#options.hasRedis
      this.#note(!applied.firing ? 'triggers' : reaches ? 'applied' : 'redis')
      return applied
    } catch (outage) {
      this.#note('postgres')
      throw outage
    }
  }

  #schedule(): void {
    if (this.#stopped.signal.aborted) return
    const { localLeaseMs } = this.#options
    // At least two proofs in a lease, or memory would be out of use between them.
    const pollMs = localLeaseMs === 0 ? POLL_MS : Math.min(POLL_MS, localLeaseMs / 2)
    this.#timer = setTimeout(() => {
      this.#round = this.#applyAfterNow()
        .then(({ nonce }) => this.#afterPoll(nonce !== ''))
        .catch(() => {})
        .finally(() => this.#schedule())
    }, pollMs)
    this.#timer.unref()
  }

  async #afterPoll(reachesRedis: boolean): Promise<void> {
    if (!this.#options.hasOutbox) return
    await this.#options.fleet.renewWhenDue(reachesRedis)
    this.#collectWhenDue()
  }

  /** Beside the polls, on another connection: twenty slow statements outlast every proof and the heartbeat. */
  #collectWhenDue(): void {
    const { dueAt, cursor } = this.#collect
    if (performance.now() < dueAt) return
    const { applier, outbox } = this.#options
    this.#collect = { dueAt: performance.now() + COLLECT_MS, cursor: applier.cursor }
    if (cursor !== '') this.#collecting = outbox.collect(cursor, this.#stopped.signal).catch(() => {})
  }

  #note(state: FeedState): void {
    if (this.#state === state) return
    this.#state = state
    this.#options.onChange?.(state)
  }
}
