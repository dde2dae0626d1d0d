/** PostgreSQL and Redis, and the rooms of the session that stand directly on them. */
import type { FastifyBaseLogger } from 'fastify'
import type { Sql } from 'postgres'
import { missingGrants } from '../schema/grants-sql.js'
import { revocationInstalled } from '../schema/revocation-sql.js'
import { rotationSql } from '../schema/rotation-sql.js'
import type { AppConfig } from './app-config.js'
import type { Env } from './config/env.js'
import {
  listenerHealth,
  MISSING,
  cacheHealth,
  heartbeatAge,
  level,
  postgresHealth,
  redisHealth,
  tellFeed,
  tellListener,
  tellRedis,
  tellRevocation
} from './data-report.js'
import type { AuthShape } from './data/auth-shape.js'
import { GuardedSql } from './data/guarded-sql.js'
import { inspectAuthShape } from './data/inspect-auth.js'
import {
  createDirectClient,
  createListenClient,
  createLookupPool,
  POOL_SIZES,
  waitForPostgres
} from './data/postgres.js'
import { RedisLink } from './data/redis.js'
import { sharedCounter } from './data/shared-counter.js'
import type { Metrics } from './edge/metrics.js'
import { ConfigError } from './errors.js'
import { createCoherence } from './session/coherence.js'
import { DatabaseClock } from './session/database-clock.js'
import { LiveConnections } from './session/live-connections.js'
import { SessionResolver } from './session/resolve-session.js'
import { RedisSessionCache } from './session/session-cache.js'
import { createSessionQuery } from './session/session-query.js'
import type { TokenHash } from './session/session.js'
import { SessionStore } from './session/session-store.js'
import { TokenRotation } from './session/token-rotation.js'

export type Data = Awaited<ReturnType<typeof openData>>

/** Throws ConfigError for a database the gateway cannot work with, and the driver's error for one that is away. */
export async function openData(config: AppConfig, metrics: Metrics, log: FastifyBaseLogger) {
  const { env, databaseUrl } = config
  const { shape, triggers } = await inspect(config, log)
  const lookups = new GuardedSql(() => createLookupPool(databaseUrl, env.databasePoolMax))
  // Polling has connections of its own: look-ups of a busy hour must not delay a revocation, and two, as a slow
  // clean-up must not hold up the poll that a sign-out waits for. After an outage it is often
  // the first to be answered, and then nobody's look-up need be refused any longer.
  const polls = new GuardedSql(
    () => createLookupPool(databaseUrl, POOL_SIZES.feed),
    () => lookups.breaker.retryNow()
  )
  const redis = env.redisUrl === null ? null : new RedisLink(env.redisUrl, (up, reason) => tellRedis(log, up, reason))

  const clock = new DatabaseClock()
  // Without triggers nobody can prove that the cache is current, so there is none.
  const cache = redis === null || !triggers ? null : new RedisSessionCache(redis, env.sessionCacheTtlSeconds)
  // The triggers say which session has to change its token, so without them none does.
  const rotates = triggers && env.authMode === 'hosted' && env.sessionRotateOnRoleChange
  const statements = rotates ? rotationSql(shape) : null
  const onRotated = () => metrics.authEvent('session.rotate', 'success')
  const rotation = statements && new TokenRotation(lookups, statements, onRotated)
  const store = new SessionStore(lookups, createSessionQuery(shape, { rotation: statements, fingerprints: env.sessionFingerprint !== 'off' }), env.databasePoolMax)
  const uncached = new SessionResolver({ cache: null, local: null, store, clock })
  const lookUp = (token: string) => uncached.resolve(token, true)
  const live = new LiveConnections({
    lookUp: rotation === null ? lookUp : token => rotation.lookUpAny(token, lookUp),
    now: clock.now
  })
  live.deaf = !triggers
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
      live.changed(event)
    },
    onUnknown: () => live.changedUnknown(),
    onWaited: (ms, outcome) => metrics.leaseWaited(ms, outcome),
    onChange: state => {
      live.deaf = state === 'triggers'
      tellFeed(log, state, triggers)
    },
    onListener: state => tellListener(log, state)
  })
  const close = async (): Promise<void> => {
    await coherence.stop()
    redis?.close()
    await Promise.all([lookups.close(), polls.close()])
  }
  try {
    await coherence.start()
  } catch (error) {
    await close()
    throw error
  }
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

  metrics.watchLive(() => ({ websocket: live.count('websocket'), stream: live.count('stream') }))

  return {
    shape,
    clock,
    cache,
    local: coherence.local,
    live,
    store,
    rotation,
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
      listener: async () => listenerHealth(coherence.listenerState()),
      cache: async () => cacheHealth(cache !== null, coherence)
    },
    close
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
