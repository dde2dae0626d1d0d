/**
 * This gateway among the others on the same database: registered there before it answers anything from memory, and
 * asked by whoever revokes. The register is in PostgreSQL, not in Redis, so that it cannot be evicted or lost in a
 * failover, and so that it is the same with and without Redis.
 */
import { randomBytes } from 'node:crypto'
import type { OutboxSql } from '../../schema/outbox-sql.js'
import type { GuardedSql } from '../data/guarded-sql.js'

const LEASE_MS = 15_000
const RENEW_MS = 5_000
/** Two clocks measure the same seconds. */
const CLOCK_MARGIN_MS = 1_000

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
  #graceEnd = 0

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
    return Math.max(0, this.#graceEnd - performance.now())
  }

  /** Rejects with AUTH_SERVICE_UNAVAILABLE; the leases then run out by themselves. */
  async renewWhenDue(reachesRedis: boolean): Promise<void> {
    const hasGrace = this.#graceEnd > 0
    // Ours first, then the row: nobody may see the row without grace while we still use it.
    if (!reachesRedis) this.#graceEnd = 0
    const now = performance.now()
    if (now < this.#renewAt && hasGrace === this.#wantsGrace(reachesRedis)) return
    await this.#renew(now, reachesRedis)
  }

  async leave(): Promise<void> {
    this.#leaseEnd = 0
    this.#graceEnd = 0
    await this.#options.sql.query(this.#options.statements.leave, [this.id])
  }

  #wantsGrace(reachesRedis: boolean): boolean {
    return reachesRedis && this.#options.graceMs !== null
  }

  async #renew(sentAt: number, reachesRedis: boolean): Promise<void> {
    const { sql, statements, localLeaseMs, graceMs } = this.#options
    const grace = this.#wantsGrace(reachesRedis) && graceMs !== null ? String(graceMs) : null
    await sql.query(statements.register, [this.id, String(localLeaseMs), String(LEASE_MS), grace])
    const now = performance.now()
    // A registration that had lapsed began anew: proofs older than it are worth nothing.
    if (now >= this.#leaseEnd) this.#registeredAt = now
    this.#leaseEnd = sentAt + LEASE_MS - CLOCK_MARGIN_MS
    this.#graceEnd = grace === null ? 0 : sentAt + Number(grace) - CLOCK_MARGIN_MS
    this.#renewAt = sentAt + RENEW_MS
  }
}
