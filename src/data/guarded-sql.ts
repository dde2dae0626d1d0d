/**
 * A pool whose statements end: by an answer, by an error, or after a second. postgres.js itself waits without
 * limit for a server that has gone silent.
 *
 * The server cancels slow statements sooner (`statement_timeout`), so whoever reaches our deadline has lost the
 * server, not patience: the pool is given up with its connections and a new one opened. postgres.js can cancel a
 * single query, but drops the promise of doing so, and a cancel that cannot connect would end the process.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RowList, Sql } from 'postgres'
import { withDeadline } from '../clock.js'
import { GatewayError } from '../errors.js'
import { Breaker } from './breaker.js'
import { databaseCode } from './postgres-error.js'

const DEADLINE_MS = 1000
const MAX_RETRIES = 3
const FIRST_RETRY_MS = 100
/** Retries included. */
const OVERALL_MS = 1500
/** A try with less would give up a pool that is well. */
const LEAST_DEADLINE_MS = 250

export type Parameter = string | null

/** The connection failed, not the statement: refused, reset, closed, shutting down, starting up, too many. */
const CONNECTION_FAILURE = /^(E[A-Z]+|CONNECTION_CLOSED|CONNECTION_DESTROYED|CONNECT_TIMEOUT|08...|57P0[123]|53300)$/

export class GuardedSql {
  readonly breaker = new Breaker()
  readonly #connect: () => Sql
  readonly #onAnswer: () => void
  #sql: Sql
  #busy = 0

  constructor(connect: () => Sql, onAnswer: () => void = () => {}) {
    this.#connect = connect
    this.#onAnswer = onAnswer
    this.#sql = connect()
  }

  /** Statements under way. */
  get busy(): number {
    return this.#busy
  }

  /**
   * Only for statements that may run twice. Connection failures are retried (R65), within the time a caller can
   * wait (R64). Rejects with AUTH_SERVICE_UNAVAILABLE and nothing else.
   */
  query<Row extends object>(text: string, parameters: readonly Parameter[]): Promise<RowList<Row[]>> {
    return this.#run(sql => sql.unsafe<Row[]>(text, [...parameters], { prepare: true }))
  }

  /** As `query`, each row as the list of its values: less work for the client than an object of each. */
  async values<Row extends readonly unknown[]>(text: string, parameters: readonly Parameter[]): Promise<readonly Row[]> {
    const rows: unknown = await this.#run(sql => sql.unsafe(text, [...parameters], { prepare: true }).values())
    return rows as readonly Row[]
  }

  /** Ends the pool; statements under way get a second. */
  async close(): Promise<void> {
    await this.#sql.end({ timeout: DEADLINE_MS / 1000 })
  }

  async #run<Answer>(send: (sql: Sql) => PromiseLike<Answer>): Promise<Answer> {
    const end = performance.now() + OVERALL_MS
    for (let retry = 0; ; retry++) {
      if (!this.breaker.admits()) throw unavailable('breaker_open')
      try {
        return await this.#once(send, Math.min(DEADLINE_MS, end - performance.now()))
      } catch (error) {
        const delay = FIRST_RETRY_MS * 2 ** retry
        const isLast = retry === MAX_RETRIES || performance.now() + delay > end - LEAST_DEADLINE_MS
        if (isLast || !isConnectionFailure(error)) throw unavailable('postgres', error)
        await sleep(delay)
      }
    }
  }

  async #once<Answer>(send: (sql: Sql) => PromiseLike<Answer>, deadlineMs: number): Promise<Answer> {
    const sql = this.#sql
    const sentAt = performance.now()
    this.#busy++
    try {
      const answer = await withDeadline(
        deadlineMs,
        send(sql),
        () => new NoAnswer(`no answer within ${Math.round(deadlineMs)} ms`)
      )
      this.breaker.succeeded()
      this.#onAnswer()
      return answer
    } catch (error) {
      if (error instanceof NoAnswer) this.#abandon(sql)
      if (error instanceof NoAnswer || isConnectionFailure(error) || isTimeout(error)) this.breaker.failed(sentAt)
      else this.breaker.succeeded()
      throw error
    } finally {
      this.#busy--
    }
  }

  #abandon(sql: Sql): void {
    if (sql !== this.#sql) return
    this.#sql = this.#connect()
    void sql.end({ timeout: 0 })
  }
}

class NoAnswer extends Error {}

function isConnectionFailure(error: unknown): boolean {
  return CONNECTION_FAILURE.test(databaseCode(error) ?? '')
}

/** The server's own `statement_timeout`: it is there, but too slow to be of use. */
function isTimeout(error: unknown): boolean {
  return databaseCode(error) === '57014'
}

/** The reply says when to come back; what failed is for the log. */
export function unavailable(reason: string, cause?: unknown): GatewayError {
  return new GatewayError('AUTH_SERVICE_UNAVAILABLE', { reason, cause, headers: { 'retry-after': '1' } })
}
