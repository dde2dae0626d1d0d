/**
 * The outbox that triggers write in the transaction of every change, and the database's clock. The cursor is a snapshot
 * (snapshot.ts): a row of a transaction that commits late is not in it, while an id or a time would have passed it.
 */
import { type OutboxSql, POLL_LIMIT } from '../../schema/outbox-sql.js'
import type { GuardedSql } from '../data/guarded-sql.js'
import type { RevocationEvent } from './session-cache.js'

const COLLECT_ROUNDS = 20
const CLOCK_ONLY = `select '' as database, false as firing, '0' as epoch, '' as next_cursor, '[]'::json as others,
  (extract(epoch from clock_timestamp()) * 1000)::float8 as now, null as xid`

export interface OutboxEvent extends RevocationEvent {
  /** The transaction that made the change. */
  readonly xid: string
  /** Why, as far as the database knows: sign_out, ban, expiry … (schema/cause-sql.ts). For the log and the metrics. */
  readonly cause: string
  /** When the change was made, ms by the database's clock; it was committed some time after. */
  readonly at: number
}

/** Another gateway on this database. */
export interface Peer {
  readonly id: string
  /** How long it may answer from memory without a proof; 0: not at all, its lease has lapsed. */
  readonly leaseMs: number
  /** Whether it may keep the shared cache alive without PostgreSQL. */
  readonly grace: boolean
}

export interface Poll {
  /** Which database this is; another one behind the same Redis is another truth. */
  readonly database: string
  readonly epoch: string
  /** The snapshot the events were read with: it sees all of them. */
  readonly cursor: string
  readonly now: number
  /** False: a trigger is missing, disabled or not what we made, and nobody hears of what it would have told. */
  readonly firing: boolean
  /** Registered when the events were read. */
  readonly others: readonly Peer[]
  readonly events: readonly OutboxEvent[]
  /** False: there were so many events that some are missing. */
  readonly complete: boolean
}

export class Outbox {
  readonly #sql: GuardedSql
  readonly #statements: OutboxSql | null

  /** `statements` null: the database has no triggers and no outbox, only a clock. */
  constructor(sql: GuardedSql, statements: OutboxSql | null) {
    this.#sql = sql
    this.#statements = statements
  }

  /** Every event that `cursor` does not see; none for null. Throws AUTH_SERVICE_UNAVAILABLE. */
  async poll(cursor: string | null, node: string): Promise<Poll> {
    const rows = await (this.#statements === null
      ? this.#sql.query<PollRow>(CLOCK_ONLY, [])
      : this.#sql.query<PollRow>(this.#statements.poll, [cursor, node]))
    const [first] = rows
    if (first === undefined) throw new TypeError('The poll answered without a row.')
    const { database, epoch, next_cursor, now, firing, others } = first
    const events = rows.filter(isEvent).map(readEvent)
    const complete = events.length <= POLL_LIMIT
    return { database, epoch, cursor: next_cursor, now, firing, others, events, complete }
  }

  /** How many rows there are, up to one more than the poll's limit. Throws AUTH_SERVICE_UNAVAILABLE. */
  async count(): Promise<number> {
    if (this.#statements === null) return 0
    const [row] = await this.#sql.query<{ rows: number }>(this.#statements.count, [])
    return row?.rows ?? 0
  }

  /**
   * Forgets what is old and older than `cursor`, a thousand rows at a time until `signal`. Throws
   * AUTH_SERVICE_UNAVAILABLE.
   */
  async collect(cursor: string, signal: AbortSignal): Promise<void> {
    if (this.#statements === null) return
    for (let round = 0; round < COLLECT_ROUNDS && !signal.aborted; round++) {
      const { count } = await this.#sql.query(this.#statements.collect, [cursor])
      if (count === 0) return
    }
  }
}

interface PollRow {
  readonly database: string
  readonly epoch: string
  readonly next_cursor: string
  readonly now: number
  readonly firing: boolean
  readonly others: readonly Peer[]
  readonly xid: string | null
  readonly kind: string | null
  readonly key: string | null
  readonly cause: string | null
  readonly at: number | null
}

type EventRow = PollRow & { readonly xid: string; readonly kind: string; readonly key: string; readonly at: number }

function isEvent(row: PollRow): row is EventRow {
  return row.xid !== null
}

function readEvent({ xid, kind, key, cause, at }: EventRow): OutboxEvent {
  return { xid, kind: kind === 's' ? 'session' : 'user', key, cause: cause ?? 'unknown', at }
}
