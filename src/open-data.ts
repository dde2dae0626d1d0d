/** PostgreSQL and Redis, and the rooms of the session that stand directly on them. */
import type { FastifyBaseLogger } from 'fastify'
import { outboxSql } from '../schema/outbox-sql.js'
import { revocationInstalled } from '../schema/revocation-sql.js'
import type { AppConfig } from './app-config.js'
import { GuardedSql } from './data/guarded-sql.js'
import { inspectAuthShape } from './data/inspect-auth.js'
import { createDirectClient, createLookupPool, waitForPostgres } from './data/postgres.js'
import { RedisLink } from './data/redis.js'
import { sharedCounter } from './data/shared-counter.js'
import type { PartHealth } from './edge/health.js'
import type { Metrics } from './edge/metrics.js'
import { DatabaseClock } from './session/database-clock.js'
import { Outbox } from './session/outbox.js'
import { RevocationFeed } from './session/revocation-feed.js'
import { RedisSessionCache } from './session/session-cache.js'
import { createSessionQuery } from './session/session-query.js'
import { SessionStore } from './session/session-store.js'

export type Data = Awaited<ReturnType<typeof openData>>

/** Two connections: a slow clean-up must not hold up the poll that a sign-out waits for. */
const FEED_CONNECTIONS = 2

/** Throws ConfigError for a database the gateway cannot work with, and the driver's error for one that is away. */
export async function openData(config: AppConfig, metrics: Metrics, log: FastifyBaseLogger) {
  const { env, databaseUrl } = config
  const { shape, triggers } = await inspect(config, log)
  const lookups = new GuardedSql(() => createLookupPool(databaseUrl, env.databasePoolMax))
  // Polling has connections of its own: look-ups of a busy hour must not delay a revocation.
  const polls = new GuardedSql(() => createLookupPool(databaseUrl, FEED_CONNECTIONS))
  const redis = env.redisUrl === null ? null : new RedisLink(env.redisUrl, (up, reason) => tellRedis(log, up, reason))

  const clock = new DatabaseClock()
  // Without triggers nobody can prove that the cache is current, so there is none.
  const cache = redis === null || !triggers ? null : new RedisSessionCache(redis, env.sessionCacheTtlSeconds)
  const store = new SessionStore(lookups, createSessionQuery(shape), env.databasePoolMax)
  const outbox = new Outbox(polls, triggers ? outboxSql(shape) : null)
  const feed = new RevocationFeed({
    outbox,
    cache,
    clock,
    onEvent: (kind, lagMs) => metrics.revocationApplied(kind, lagMs),
    onChange: (current, reason) => log.info({ event: 'cache', current, reason })
  })
  await feed.start()
  metrics.watch({
    breakers: () => ({ postgres: level(lookups), ...(redis !== null && { redis: level(redis) }) }),
    poolConnections: () => ({ busy: lookups.busy, max: env.databasePoolMax })
  })

  return {
    shape,
    clock,
    cache,
    store,
    feed,
    lookups,
    sharedCounter: redis === null ? null : sharedCounter(redis),
    health: {
      postgres: () => postgresHealth(lookups),
      redis: async () => redisHealth(redis),
      cache: async () => cacheHealth(cache !== null, feed)
    },
    async close() {
      await feed.stop()
      redis?.close()
      await Promise.all([lookups.close(), polls.close()])
    }
  }
}

async function inspect({ env, databaseDirectUrl }: AppConfig, log: FastifyBaseLogger) {
  const sql = createDirectClient(databaseDirectUrl)
  try {
    await waitForPostgres(sql, waitMs => log.warn({ event: 'postgres.waiting', retryInMs: waitMs }))
    const shape = await inspectAuthShape(
      sql,
      { schema: env.databaseSchema, mode: env.authMode },
      ({ place, message, mend }) => log.warn({ event: 'database.warning', place, mend }, message)
    )
    const triggers = await revocationInstalled(sql, shape)
    if (!triggers) {
      log.warn({ event: 'triggers.missing' }, 'Every request asks PostgreSQL: run `npx session-gateway migrate`.')
    }
    return { shape, triggers }
  } finally {
    await sql.end()
  }
}

function level({ breaker }: Pick<GuardedSql, 'breaker'>): number {
  return breaker.state === 'closed' ? 0 : breaker.state === 'open' ? 1 : 0.5
}

function tellRedis(log: FastifyBaseLogger, up: boolean, reason: string): void {
  if (up) log.info({ event: 'redis.up', reason })
  else log.warn({ event: 'redis.down', reason })
}

async function postgresHealth(sql: GuardedSql): Promise<PartHealth> {
  try {
    await sql.query('select 1', [])
    return { ok: true, detail: 'answers' }
  } catch {
    return { ok: false, detail: 'does not answer: sessions cannot be looked up' }
  }
}

/** Without Redis the gateway is slower, not wrong: it stays ready. */
function redisHealth(redis: RedisLink | null): PartHealth {
  if (redis === null) return { ok: true, detail: 'not configured: every look-up asks PostgreSQL' }
  return { ok: true, detail: redis.run === '' ? 'away: every look-up asks PostgreSQL' : 'connected' }
}

function cacheHealth(cached: boolean, feed: RevocationFeed): PartHealth {
  if (!cached) return { ok: true, detail: 'none' }
  return { ok: true, detail: feed.current ? 'current' : 'not proven current: bypassed' }
}
