/** PostgreSQL and Redis, and the rooms of the session that stand directly on them. */
import type { FastifyBaseLogger } from 'fastify'
import type { Sql } from 'postgres'
import { missingGrants } from '../schema/grants-sql.js'
import { revocationInstalled } from '../schema/revocation-sql.js'
import { rotationSql } from '../schema/rotation-sql.js'
import type { AppConfig } from './app-config.js'
import type { Env } from './config/env.js'
import type { AuthShape } from './data/auth-shape.js'
import { GuardedSql } from './data/guarded-sql.js'
import { inspectAuthShape } from './data/inspect-auth.js'
import type { ListenerState } from './data/listener.js'
import { createDirectClient, createListenClient, createLookupPool, waitForPostgres } from './data/postgres.js'
import { RedisLink } from './data/redis.js'
import { sharedCounter } from './data/shared-counter.js'
import type { PartHealth } from './edge/health.js'
import type { Metrics } from './edge/metrics.js'
import { ConfigError } from './errors.js'
import { HEARTBEAT_MS } from './session/applier.js'
import { type Coherence, createCoherence } from './session/coherence.js'
import { DatabaseClock } from './session/database-clock.js'
import type { OutboxEvent } from './session/outbox.js'
import type { FeedState } from './session/revocation-feed.js'
import { RedisSessionCache } from './session/session-cache.js'
import { createSessionQuery } from './session/session-query.js'
import type { TokenHash } from './session/session.js'
import { SessionStore } from './session/session-store.js'
import { TokenRotation } from './session/token-rotation.js'

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
  // The triggers say which session has to change its token, so without them none does.
  const rotates = triggers && env.authMode === 'hosted' && env.sessionRotateOnRoleChange
  const rotation = rotates ? rotationSql(shape) : null
  const store = new SessionStore(lookups, createSessionQuery(shape, rotation), env.databasePoolMax)
  const coherence = createCoherence({
    shape,
    triggers,
    sql: polls,
    cache,
    clock,
    cacheTtlMs: env.sessionCacheTtlSeconds * 1000,
    localLeaseMs: env.sessionLocalLeaseMs,
    graceful: env.outageMode === 'graceful',
    connectListener: () => createListenClient(config.databaseDirectUrl),
    onEvent: (event, lagMs) => {
      metrics.revocationApplied(event.cause, lagMs)
      tellRevocation(log, event, lagMs)
    },
    onWaited: (ms, outcome) => metrics.leaseWaited(ms, outcome),
    onChange: state => tellFeed(log, state, triggers),
    onListener: state => tellListener(log, state)
  })
  await coherence.start()
  metrics.watch({
    breakers: () => ({
      postgres: level(lookups),
      postgres_feed: level(polls),
      ...(redis !== null && { redis: level(redis) })
    }),
    poolConnections: () => ({ busy: lookups.busy, max: env.databasePoolMax }),
    pollAgeMs: () => coherence.feed.age,
    heartbeatAgeMs: cache === null ? null : () => heartbeatAge(cache),
    outboxRows: triggers ? () => coherence.outbox.count() : null
  })

  return {
    shape,
    clock,
    cache,
    local: coherence.local,
    store,
    rotation: rotation && new TokenRotation(lookups, rotation, () => metrics.authEvent('session.rotate', 'success')),
    feed: coherence.feed,
    lookups,
    /** The next look-up of this session reads its row. */
    forget(hash: TokenHash): void {
      const gone = [{ kind: 'session', key: hash }] as const
      coherence.local?.drop(gone)
      void cache?.invalidate(gone).catch(() => {})
    },
    sharedCounter: redis === null ? null : sharedCounter(redis),
    health: {
      postgres: () => postgresHealth(lookups),
      redis: async () => redisHealth(redis),
      listener: async () => ({ ok: true, detail: LISTENER_DETAIL[coherence.listenerState()] }),
      cache: async () => cacheHealth(cache !== null, coherence)
    },
    async close() {
      await coherence.stop()
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
    if (triggers) await refuseWithoutGrants(sql, shape, env.authMode)
    if (!triggers) {
      log.warn({ event: 'triggers.missing' }, `${MISSING}, and start again.`)
    }
    return { shape, triggers }
  } finally {
    await sql.end()
  }
}

/** Without them this gateway could neither hear of a revocation nor be asked about one. */
async function refuseWithoutGrants(sql: Sql, shape: AuthShape, mode: Env['authMode']): Promise<void> {
  const missing = await missingGrants(sql, shape, mode)
  if (missing.length === 0) return
  const message = `the role may not use the gateway's own tables; their owner runs: ${missing.join(' ')}`
  throw new ConfigError([{ place: 'DATABASE_URL', message }])
}

function level({ breaker }: Pick<GuardedSql, 'breaker'>): number {
  return breaker.state === 'closed' ? 0 : breaker.state === 'open' ? 1 : 0.5
}

/** What an operator can find again: the user's id, or the beginning of what stands for the token everywhere. */
function tellRevocation(log: FastifyBaseLogger, { cause, kind, key }: OutboxEvent, lagMs: number): void {
  const whose = kind === 'user' ? { userId: key } : { session: key.slice(0, 12) }
  log.info({ event: 'revocation', cause, ...whose, lagMs: Math.round(lagMs * 10) / 10 })
}

async function heartbeatAge(cache: RedisSessionCache): Promise<number> {
  const left = await cache.heartbeatLeft()
  return left === null ? Number.POSITIVE_INFINITY : Math.max(0, HEARTBEAT_MS - left)
}

/** Without triggers at the start it has been said; from then on nothing is applied. */
function tellFeed(log: FastifyBaseLogger, state: FeedState, hadTriggers: boolean): void {
  if (state === 'triggers' && hadTriggers) log.warn({ event: 'triggers.missing' }, `${MISSING}.`)
  else if (state !== 'triggers') log.info({ event: 'cache', current: state === 'applied', reason: state })
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
  if (redis === null) return { ok: true, detail: 'not configured: what memory does not hold, PostgreSQL is asked for' }
  return { ok: true, detail: redis.run === '' ? 'away: every look-up asks PostgreSQL' : 'connected' }
}

function cacheHealth(shared: boolean, { local, feed }: Coherence): PartHealth {
  if (feed.state === 'triggers') return { ok: true, detail: MISSING }
  if (!shared && local === null) return { ok: true, detail: 'none' }
  return { ok: true, detail: feed.current ? 'current' : 'not proven current: bypassed' }
}

const MISSING =
  'Triggers of revocation are missing or disabled, so every request asks PostgreSQL: run `npx session-gateway migrate`'

const LISTENER_DETAIL: Readonly<Record<ListenerState, string>> = {
  hears: 'changes made elsewhere are in force within milliseconds',
  deaf: 'LISTEN hears nothing: set DATABASE_DIRECT_URL to a session-mode connection; until then changes are polled for',
  away: 'no connection: changes made elsewhere are polled for twice a second'
}

function tellListener(log: FastifyBaseLogger, state: ListenerState): void {
  if (state === 'hears') log.info({ event: 'listener', state })
  else log.warn({ event: 'listener', state }, LISTENER_DETAIL[state])
}
