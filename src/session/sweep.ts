/**
 * Clears away sessions and verifications that expired more than an hour ago (R32): nothing else does. Better Auth
 * deletes an expired session only when somebody comes back with its cookie.
 *
 * Never in a hurry: a thousand rows per statement, then a pause of four times what it took; one process of the fleet
 * at a time, and each a few minutes apart. A row that expired has no copy in any cache, so its end is told to nobody
 * (schema/revocation-sql.ts).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { AuthShape, AuthTable } from '../data/auth-shape.js'
import type { GuardedSql } from '../data/guarded-sql.js'
import { ident, nowAs } from '../data/sql-text.js'

/** A fixed number beside the one of migrations. */
const LOCK = 7_364_900_212
const BATCH = 1000
const PAUSE_RATIO = 4
const LEAST_PAUSE_MS = 50
const PACE_MS = 5 * 60 * 1000
/** A start has other things to do, and a fleet that starts together should not ask together. */
const FIRST_MS = 5000

export interface SweeperOptions {
  /** A connection of its own: neither look-ups nor revocations wait behind a clean-up. */
  readonly sql: GuardedSql
  readonly shape: AuthShape
  /** Called after a round that deleted something. */
  readonly onSwept: (rows: Readonly<Record<string, number>>) => void
  readonly onFailed: (error: unknown) => void
}

export class Sweeper {
  readonly #options: SweeperOptions
  readonly #statements: readonly (readonly [string, string])[]
  readonly #stopped = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()

  constructor(options: SweeperOptions) {
    this.#options = options
    const { session, verification } = options.shape.tables
    this.#statements = Object.entries({ session, verification }).flatMap(([what, table]) =>
      table === undefined ? [] : [[what, statement(options.shape, table)] as const]
    )
  }

  /** The first round comes within five seconds, the others some five minutes apart. */
  start(): void {
    this.#schedule(Math.random() * FIRST_MS)
  }

  /** Waits for the statement under way. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    clearTimeout(this.#timer)
    await this.#running
  }

  /** One round: until nothing is left, or another process is at it. Never rejects. */
  async sweep(): Promise<void> {
    const { onSwept, onFailed } = this.#options
    const rows: Record<string, number> = {}
    try {
      for (const [what, sql] of this.#statements) {
        const count = await this.#clear(sql)
        if (count > 0) rows[what] = count
      }
    } catch (error) {
      onFailed(error)
    }
    if (Object.keys(rows).length > 0) onSwept(rows)
  }

  #schedule(inMs: number): void {
    this.#timer = setTimeout(() => {
      this.#running = this.sweep().then(() => {
        if (!this.#stopped.signal.aborted) this.#schedule((0.5 + Math.random()) * PACE_MS)
      })
    }, inMs)
    this.#timer.unref()
  }

  async #clear(sql: string): Promise<number> {
    const { signal } = this.#stopped
    let total = 0
    while (!signal.aborted) {
      const begun = performance.now()
      const { count } = await this.#options.sql.query(sql, [])
      total += count
      if (count < BATCH) break
      const pauseMs = Math.max(LEAST_PAUSE_MS, PAUSE_RATIO * (performance.now() - begun))
      await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => {})
    }
    return total
  }
}

/** One transaction: whoever does not get the lock deletes nothing, and a pooler has nothing to remember. */
function statement({ schema }: AuthShape, { name, columns }: AuthTable): string {
  const { id, expiresAt } = columns
  if (id === undefined || expiresAt === undefined) throw new TypeError(`${name} has no id or no end`)
  const table = `${ident(schema)}.${ident(name)}`
  return `with turn as materialized (select pg_try_advisory_xact_lock(${LOCK}) as ours)
delete from ${table} where ${ident(id.name)} = any(array(
  select x.${ident(id.name)} from ${table} x
   where (select ours from turn) and x.${ident(expiresAt.name)} < ${nowAs(expiresAt)} - interval '1 hour'
   limit ${BATCH} for update skip locked))`
}
