/**
 * Everything that keeps the caches honest, put together: outbox, applier, register, acknowledgements and the ear for
 * NOTIFY. One of it in every process.
 */
import type { Sql } from 'postgres'
import { outboxSql } from '../../schema/outbox-sql.js'
import { REVOCATION_CHANNEL } from '../../schema/revocation-functions.js'
import type { AuthShape } from '../data/auth-shape.js'
import type { GuardedSql } from '../data/guarded-sql.js'
import { Listener, type ListenerState } from '../data/listener.js'
import { Applier } from './applier.js'
import type { DatabaseClock } from './database-clock.js'
import { Fleet } from './fleet.js'
import { LocalCache } from './local-cache.js'
import { Outbox, type OutboxEvent } from './outbox.js'
import { type FeedOptions, RevocationFeed } from './revocation-feed.js'
import type { RedisSessionCache } from './session-cache.js'

/** What gateways say to each other; triggers use another channel, so that they wake with an empty word only. */
const FLEET_CHANNEL = 'session_gateway_fleet'
/** Longer than the life of any entry, by what a renewal may be late. */
const GRACE_EXTRA_MS = 10_000
/** What came from Redis may have been there for a whole life already. */
const LOCAL_AGE_BESIDE_REDIS_MS = 60_000
/** A notification is committed like anything else, but nobody minds when a crash loses it. */
const NOTIFY = `select set_config('synchronous_commit', 'off', true), pg_notify($1::text, $2::text)`

export interface CoherenceOptions extends Pick<FeedOptions, 'onChange' | 'onWaited'> {
  readonly shape: AuthShape
  /** False: the database has no triggers, so nothing may be answered from a cache. */
  readonly triggers: boolean
  /** Connections of its own: look-ups of a busy hour must not delay a revocation. */
  readonly sql: GuardedSql
  readonly cache: RedisSessionCache | null
  readonly clock: DatabaseClock
  readonly cacheTtlMs: number
  /** 0: no cache in memory. */
  readonly localLeaseMs: number
  /** Whether the shared cache outlives PostgreSQL. */
  readonly graceful: boolean
  /** A session-mode connection; null: changes are found by polling alone. */
  readonly connectListener: (() => Sql) | null
  readonly onEvent?: (event: OutboxEvent, lagMs: number) => void
  readonly onUnknown?: () => void
  readonly onListener?: (state: ListenerState) => void
}

export interface Coherence {
  /** Null: not wanted, or not to be had without triggers. */
  readonly local: LocalCache | null
  readonly feed: RevocationFeed
  readonly outbox: Outbox
  readonly listenerState: () => ListenerState
  /** Throws AUTH_SERVICE_UNAVAILABLE when PostgreSQL does not answer. */
  readonly start: () => Promise<void>
  readonly stop: () => Promise<void>
}

export function createCoherence(options: CoherenceOptions): Coherence {
  const { shape, triggers, sql, cache, clock, cacheTtlMs, graceful, connectListener, onListener } = options
  const { onEvent, onUnknown } = options
  const localLeaseMs = triggers ? options.localLeaseMs : 0
  const statements = outboxSql(shape)
  const outbox = new Outbox(sql, triggers ? statements : null)
  const local =
    localLeaseMs === 0
      ? null
      : new LocalCache(cache === null ? cacheTtlMs : Math.min(cacheTtlMs, LOCAL_AGE_BESIDE_REDIS_MS))
  const graceMs = graceful && cache !== null ? cacheTtlMs + GRACE_EXTRA_MS : null
  const fleet = new Fleet({ sql, statements, localLeaseMs, graceMs })
  const applier = new Applier({
    outbox,
    clock,
    cache,
    local,
    fleet,
    ...(onEvent && { onEvent }),
    ...(onUnknown && { onUnknown })
  })
  const notify = (channel: string, payload: string) => sql.query(NOTIFY, [channel, payload])
  const feed = new RevocationFeed({
    ...options,
    applier,
    fleet,
    outbox,
    hasOutbox: triggers,
    hasRedis: cache !== null,
    localLeaseMs,
    send: message => notify(FLEET_CHANNEL, message)
  })
  const listener =
    connectListener === null || !triggers
      ? null
      : new Listener({
          connect: connectListener,
          notify,
          channels: [FLEET_CHANNEL, REVOCATION_CHANNEL],
          onMessage: (_channel, message) => feed.hear(message),
          onChange: state => onListener?.(state)
        })

  return {
    local,
    feed,
    outbox,
    listenerState: () => listener?.state ?? 'away',
    async start() {
      await feed.start()
      listener?.start()
    },
    async stop() {
      await Promise.all([listener?.stop(), feed.stop()])
    }
  }
}
