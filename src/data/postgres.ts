/**
 * Connections to PostgreSQL, three kinds that never wait for each other: the pool of the look-ups, Better Auth's
 * pool (R69), and one direct connection for what a transaction pooler cannot carry (LISTEN, migrations).
 * A look-up that takes longer than its client will wait is ended by the server too.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import postgres, { type Sql } from 'postgres'
import { outliveLostTransactions } from './lost-transaction.js'

const LOOKUP_TIMEOUT_MS = 800
const WRITE_TIMEOUT_MS = 5_000
/**
 * One plan for every execution. Left to itself PostgreSQL takes ten tokens for granted where the list is not known,
 * finds a plan for fewer cheaper, and so plans `= ANY` anew each time: 120 µs of 330 for 16 tokens (2026-11-21).
 */
const LOOKUP_SETTINGS = { plan_cache_mode: 'force_generic_plan' }
const CONNECT_TIMEOUT_S = 2
const IDLE_TIMEOUT_S = 60
const RETRIES = 3
const RETRY_DELAY_MS = 1_000

/** How many connections a gateway has at most, by what for; beside them `DATABASE_POOL_MAX` for look-ups. */
export const POOL_SIZES = { auth: 5, feed: 2, listen: 1, sweep: 1, endLater: 1 } as const

/** Query parameters other tools read from the same URL; PostgreSQL refuses them as settings of its own. */
const FOREIGN_PARAMETERS = ['pgbouncer', 'schema', 'connection_limit', 'pool_timeout', 'channel_binding']

export function createLookupPool(url: string, max: number): Sql {
  return connect(url, 'session-gateway', max, LOOKUP_TIMEOUT_MS, LOOKUP_SETTINGS)
}

export function createAuthPool(url: string): Sql {
  return outliveLostTransactions(connect(url, 'session-gateway auth', POOL_SIZES.auth, WRITE_TIMEOUT_MS))
}

/** For `listen` alone: one connection that stays, opened with the first channel. */
export function createListenClient(url: string): Sql {
  return connect(url, 'session-gateway listen', POOL_SIZES.listen, null)
}

/** No statement timeout: a migration takes as long as it takes. */
export function createDirectClient(url: string): Sql {
  return connect(url, 'session-gateway direct', 2, null)
}

function connect(
  url: string,
  name: string,
  max: number,
  statementTimeoutMs: number | null,
  settings: Readonly<Record<string, string>> = {}
): Sql {
  const pooled = isPooler(url)
  return postgres(withoutForeignParameters(url), {
    max,
    prepare: !pooled,
    connect_timeout: CONNECT_TIMEOUT_S,
    idle_timeout: IDLE_TIMEOUT_S,
    // Seconds. The first attempts are quick, so that a restarted server is found at once; never longer than R65's
    // second.
    backoff: retries => (0.5 + Math.random() / 2) * Math.min(0.02 * 3 ** retries, RETRY_DELAY_MS / 1_000),
    // A question less on every first connection. Arrays then have to be passed as text or as JSON.
    fetch_types: false,
    onnotice: () => {},
    connection: {
      application_name: name,
      // PgBouncer refuses settings it does not know; there the client's own deadline has to do.
      ...(!pooled && settings),
      ...(statementTimeoutMs !== null && !pooled && { statement_timeout: statementTimeoutMs })
    }
  })
}

/** A transaction pooler may give every statement another server: prepared statements then hang (PgBouncer < 1.21). */
export function isPooler(url: string): boolean {
  const [server = '', query = ''] = url.split('?', 2)
  return (
    server.includes('-pooler.') || /:(6432|6543)([/,]|$)/.test(server) || /(^|&)pgbouncer=(true|1)(&|$)/.test(query)
  )
}

function withoutForeignParameters(url: string): string {
  const [server = '', query] = url.split('?', 2)
  if (query === undefined) return url
  const kept = new URLSearchParams(query)
  for (const name of FOREIGN_PARAMETERS) kept.delete(name)
  return `${server}?${kept}`
}

/** Words of a server that is on its way up or of a network that is not there yet; a wrong password is neither. */
const TRANSIENT = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'CONNECT_TIMEOUT',
  '57P03'
])

/** At the start the database may still be starting too: three more tries, 1, 2 and 4 seconds apart (R65). */
export async function waitForPostgres(sql: Sql, onRetry: (waitMs: number) => void = () => {}): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await sql`select 1`
      return
    } catch (error) {
      if (attempt === RETRIES || !TRANSIENT.has((error as NodeJS.ErrnoException).code ?? '')) throw error
      const waitMs = RETRY_DELAY_MS * 2 ** attempt
      onRetry(waitMs)
      await sleep(waitMs)
    }
  }
}
