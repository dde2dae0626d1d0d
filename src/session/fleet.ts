/**
 * This gateway among the others on the same database: registered there before it answers anything from memory, and
 * asked by whoever revokes. The register is in PostgreSQL, not in Redis, so that it cannot be evicted or lost in a
 * failover, and so that it is the same with and without Redis.
 */
import { randomBytes } from 'node:crypto'
import type { OutboxSql } from '../../schema/outbox-sql.js'
import { type GuardedSql, unavailable } from '../data/guarded-sql.js'

const LEASE_MS = 15_000
const RENEW_MS = 5_000
/** Ours and that of PostgreSQL measure the same five minutes. */
const LEASE_MARGIN_MS = 1_000

export interface FleetOptions {
  readonly sql: GuardedSql
  readonly statements: OutboxSql
  /** How long an entry in memory may be used without a proof; 0: never. */
  readonly localLeaseMs: number
  /** How long the shared cache may be kept alive without PostgreSQL; null: not at all. */
  readonly graceMs: number | null
}

export class Fleet {
  readonly id = randomBytes(9).toString('base64url')
  readonly #options: FleetOptions
  #renewAt = 0
  #registeredAt = Number.POSITIVE_INFINITY
  #leaseEnd = 0
  #graceSince = Number.POSITIVE_INFINITY
  #graceEnd = 0
  /** Everything committed before the grace lease was registered is applied in Redis. */
  #graceUsable = false
  #bridgedUntil = 0
  #rowHasGrace = false
  #turn = 0

  constructor(options: FleetOptions) {
    this.#options = options
  }

  /** How long a proof that began then lets the memory be used, by performance.now(); 0 when it does not. */
  provenUntil(begunAt: number): number {
    const { localLeaseMs } = this.#options
    if (localLeaseMs === 0 || begunAt < this.#registeredAt) return 0
    return Math.min(begunAt + localLeaseMs, this.#leaseEnd)
  }

  /** What is left of the right to keep the shared cache alive without PostgreSQL, in ms. */
  get graceLeft(): number {
    return this.#graceUsable ? Math.max(0, this.#graceEnd - performance.now()) : 0
  }

  /**
   * Told of every reading of the outbox: when it began, and whether all of it went to Redis. A grace lease counts from
   * the first whole one that began after it was registered, and ends with the first that was not whole.
   */
  reachedRedis(begunAt: number, whole: boolean): void {
    if (!whole) this.#dropGrace()
    else if (begunAt >= this.#graceSince) this.#graceUsable = true
  }

  /** The heartbeat is about to be kept alive without PostgreSQL for so long, in ms. */
  bridges(ms: number): void {
    this.#bridgedUntil = performance.now() + ms
  }

  /** By performance.now(): the heartbeat that was last kept alive from here ends by then. */
  get bridgedUntil(): number {
    return this.#bridgedUntil
  }

  /** Rejects with AUTH_SERVICE_UNAVAILABLE; the leases then run out by themselves. */
  async renewWhenDue(reachesRedis: boolean): Promise<void> {
    const wantsGrace = reachesRedis && this.#options.graceMs !== null
    // Ours first, then the row: nobody may see the row without grace while we still use it.
    if (!wantsGrace) this.#dropGrace()
    const now = performance.now()
    if (now < this.#renewAt && wantsGrace === this.#rowHasGrace) return
    await this.#renew(now, wantsGrace)
  }

  async leave(): Promise<void> {
    this.#leaseEnd = 0
    this.#dropGrace()
    // The heartbeat we may have kept alive outlives us, and so does the row that says so.
    if (this.#bridgeLeft > 0) await this.#renew(performance.now(), false)
    else await this.#options.sql.query(this.#options.statements.leave, [this.id])
  }

  get #bridgeLeft(): number {
    return this.#bridgedUntil === 0 ? 0 : Math.max(0, this.#bridgedUntil + LEASE_MARGIN_MS - performance.now())
  }

  #dropGrace(): void {
    this.#graceEnd = 0
    this.#graceSince = Number.POSITIVE_INFINITY
    this.#graceUsable = false
  }

  async #renew(sentAt: number, wantsGrace: boolean): Promise<void> {
    const { sql, statements, localLeaseMs, graceMs } = this.#options
    const rest = this.#bridgeLeft
    const grace = wantsGrace && graceMs !== null ? graceMs : rest > 0 ? rest : null
    const parameters = [this.id, String(localLeaseMs), String(LEASE_MS), grace === null ? null : String(grace)]
    this.#turn++
    const { count } = await sql.query(statements.register, [...parameters, String(this.#turn)])
    // A statement that was given up may still be carried out, after this one.
    if (count === 0) throw unavailable('register_overtaken')
    const now = performance.now()
    // A registration that had lapsed began anew: proofs older than it are worth nothing.
    if (now >= this.#leaseEnd) this.#registeredAt = now
    this.#leaseEnd = sentAt + LEASE_MS - LEASE_MARGIN_MS
    this.#rowHasGrace = wantsGrace
    if (wantsGrace && graceMs !== null) {
      if (now >= this.#graceEnd) {
        this.#graceSince = now
        this.#graceUsable = false
      }
      this.#graceEnd = sentAt + graceMs - LEASE_MARGIN_MS
    }
    this.#renewAt = sentAt + RENEW_MS
  }
}
