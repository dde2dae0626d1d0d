/**
 * Carries every committed change from PostgreSQL into the caches: twice a second, at every NOTIFY, and on demand
 * before the answer to a revocation leaves. `settle` is that demand; what it waits for is what makes the answer true.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { unavailable } from '../data/guarded-sql.js'
import { Acknowledgements, type Question } from './acknowledgements.js'
import { type Applied, type Applier, HEARTBEAT_MS } from './applier.js'
import type { Fleet } from './fleet.js'
import type { Outbox, Peer } from './outbox.js'

const POLL_MS = 500
/** Two clocks measure the same three seconds. */
const CLOCK_MARGIN_MS = 100
const RETRY_MS = 100
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
  readonly onWaited?: (ms: number, outcome: 'alone' | 'acknowledged' | 'lease_ended') => void
}

export class RevocationFeed {
  readonly #options: FeedOptions
  readonly #acknowledgements: Acknowledgements
  #running: Promise<unknown> = Promise.resolve()
  #queued: Promise<Applied> | null = null
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  #state: FeedState | null = null
  #appliedAt = Number.NEGATIVE_INFINITY
  #others: readonly Peer[] = []
  #collect = { dueAt: 0, cursor: '' }

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

  /** Waits for the poll under way. The heartbeat lapses by itself. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await (this.#queued ?? this.#running).catch(() => {})
    if (this.#options.hasOutbox) await this.#options.fleet.leave().catch(() => {})
  }

  /** A NOTIFY: from a trigger, empty, or from another gateway. */
  hear(message: string): void {
    if (this.#stopped) return
    if (message === '') void this.#applyAfterNow().catch(() => {})
    else this.#acknowledgements.hear(message)
  }

  /**
   * Resolves when everything committed before the call is in force on every node. Throws AUTH_SERVICE_UNAVAILABLE when
   * PostgreSQL cannot say what was committed, or when a gateway that we do not reach may go on without PostgreSQL.
   */
  async settle(): Promise<void> {
    if (!this.#options.hasOutbox) return
    const begunAt = performance.now()
    // Asked early, so that the others apply it while we do.
    let question = this.#others.length > 0 ? this.#acknowledgements.ask() : null
    try {
      for (;;) {
        const { nonce, others } = await this.#applyAfterNow()
        if (others.length > 0) question ??= this.#acknowledgements.ask()
        if (!this.#options.hasRedis || nonce !== '' || this.#appliedByOthers(question)) {
          return await this.#waitForOthers(others, question, begunAt)
        }
        // By then every heartbeat that does not know of the change has lapsed, unless another keeps one alive on its own.
        const lapsesAt = Math.max(begunAt + HEARTBEAT_MS, this.#options.fleet.bridgedUntil)
        if (performance.now() >= lapsesAt + CLOCK_MARGIN_MS) {
          if (others.some(({ grace }) => grace)) throw unavailable('grace_lease_elsewhere')
          return await this.#waitForOthers(others, question, begunAt)
        }
        await Promise.race([question?.next(), sleep(RETRY_MS)])
      }
    } finally {
      question?.close()
    }
  }

  /** Another node that reaches the very data we last saw has applied the change in it. */
  #appliedByOthers(question: Question | null): boolean {
    const nonce = this.#options.applier.lastNonce
    return nonce !== '' && [...(question?.answers.values() ?? [])].includes(nonce)
  }

  /** Until the last of them has answered, or may no longer use what it had in memory when we began. */
  async #waitForOthers(others: readonly Peer[], question: Question | null, begunAt: number): Promise<void> {
    const waitedFrom = performance.now()
    for (;;) {
      const silent = others.filter(({ id, leaseMs }) => leaseMs > 0 && question?.answers.has(id) !== true)
      const end = begunAt + CLOCK_MARGIN_MS + Math.max(0, ...silent.map(({ leaseMs }) => leaseMs))
      const now = performance.now()
      if (silent.length === 0 || now >= end) {
        const outcome = others.length === 0 ? 'alone' : silent.length === 0 ? 'acknowledged' : 'lease_ended'
        return this.#options.onWaited?.(now - waitedFrom, outcome)
      }
      await Promise.race([question?.next(), sleep(end - now)])
    }
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
    if (this.#stopped) return
    const { localLeaseMs } = this.#options
    // At least two proofs in a lease, or memory would be out of use between them.
    const pollMs = localLeaseMs === 0 ? POLL_MS : Math.min(POLL_MS, localLeaseMs / 2)
    this.#timer = setTimeout(() => {
      void this.#applyAfterNow()
        .then(({ nonce }) => this.#afterPoll(nonce !== ''))
        .catch(() => {})
        .finally(() => this.#schedule())
    }, pollMs)
    this.#timer.unref()
  }

  async #afterPoll(reachesRedis: boolean): Promise<void> {
    if (!this.#options.hasOutbox) return
    await this.#options.fleet.renewWhenDue(reachesRedis)
    const { dueAt, cursor } = this.#collect
    if (performance.now() < dueAt) return
    this.#collect = { dueAt: performance.now() + COLLECT_MS, cursor: this.#options.applier.cursor }
    if (cursor !== '') await this.#options.outbox.collect(cursor)
  }

  #note(state: FeedState): void {
    if (this.#state === state) return
    this.#state = state
    this.#options.onChange?.(state)
  }
}
