/**
 * Better Auth's way to PostgreSQL: drizzle on a pool of its own (R69), with two things added. What a request asks,
 * writes and fails to do is noted on it, and a server that has gone silent costs one pool, not the whole door:
 * postgres.js waits for a lost connection until TCP gives up, a quarter of an hour.
 */
import type { BetterAuthOptions } from 'better-auth'
import type { DBAdapter } from 'better-auth/adapters'
import { drizzleAdapter } from 'better-auth/adapters/drizzle'
import { drizzle } from 'drizzle-orm/postgres-js'
import type { Sql } from 'postgres'
import { withDeadline } from '../clock.js'
import { type AuthTables } from '../data/auth-tables.js'
import { currentHandling, noteCaller, noteFailure, type Question } from './handling.js'

export interface AuthDatabase {
  /** What betterAuth takes as `database`. */
  readonly adapter: (options: BetterAuthOptions) => DBAdapter<BetterAuthOptions>
  readonly close: () => Promise<void>
}

/**
 * Longer than the server's own `statement_timeout` and than any client waits: whoever gets here has lost the server.
 */
const SILENCE_MS = 7_000
/** A sign-up hashes its password inside its transaction, and may wait for its turn to do so. */
const TRANSACTION_MS = 15_000

const QUERIES = [
  'create',
  'findOne',
  'findMany',
  'count',
  'update',
  'updateMany',
  'delete',
  'deleteMany',
  'consumeOne',
  'incrementOne'
] as const

const ONLY_LOOKS: ReadonlySet<string> = new Set(['findOne', 'findMany', 'count'])

/** Of the adapter, and of the one inside a transaction. */
type Queries = Pick<DBAdapter<BetterAuthOptions>, (typeof QUERIES)[number]>

export function createAuthDatabase(connect: () => Sql, { tables, relations }: AuthTables): AuthDatabase {
  let pool = connect()
  const reopen: (() => void)[] = []

  function open(options: BetterAuthOptions): DBAdapter<BetterAuthOptions> {
    const database = drizzle(pool, { schema: { ...tables, ...relations } })
    return drizzleAdapter(database, { provider: 'pg', schema: { ...tables }, transaction: true })(options)
  }

  function giveUp(silent: Sql): void {
    if (silent !== pool) return
    pool = connect()
    for (const each of reopen) each()
    void silent.end({ timeout: 0 })
  }

  async function answered<T>(ask: () => Promise<T>, patienceMs: number): Promise<T> {
    const asked = pool
    try {
      return await withDeadline(patienceMs, ask(), () => {
        giveUp(asked)
        return Object.assign(new Error(`PostgreSQL did not answer within ${patienceMs} ms`), { code: 'NO_ANSWER' })
      })
    } catch (error) {
      noteFailure(error)
      throw error
    }
  }

  function watch(target: Queries, source: () => Queries): void {
    for (const name of QUERIES) {
      const ask = async (...args: readonly unknown[]): Promise<unknown> => {
        const handling = currentHandling()
        if (handling !== undefined && !ONLY_LOOKS.has(name)) handling.wrote = true
        const queries = source()
        const answer = await answered<unknown>(() => Reflect.apply(queries[name], queries, args), SILENCE_MS)
        if (name === 'findOne') noteCaller(args[0] as Question, answer)
        return answer
      }
      Object.assign(target, { [name]: ask })
    }
  }

  return {
    adapter: options => {
      // Changed in place: Better Auth finds its schema check by the very object.
      const adapter = open(options)
      let inner = { ...adapter }
      reopen.push(() => {
        inner = open(options)
      })
      watch(adapter, () => inner)
      adapter.transaction = run =>
        answered(() => {
          return inner.transaction(transaction => {
            const queries = { ...transaction }
            watch(transaction, () => queries)
            return run(transaction)
          })
        }, TRANSACTION_MS)
      return adapter
    },
    close: () => pool.end({ timeout: 1 })
  }
}
