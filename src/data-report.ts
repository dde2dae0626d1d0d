/** What operators are told of PostgreSQL, Redis and what connects them: parts of /readyz, gauges, lines of the log. */
import type { FastifyBaseLogger } from 'fastify'
import type { GuardedSql } from './data/guarded-sql.js'
import type { ListenerState } from './data/listener.js'
import type { RedisLink } from './data/redis.js'
import type { PartHealth } from './edge/health.js'
import { HEARTBEAT_MS } from './session/applier.js'
import type { Coherence } from './session/coherence.js'
import type { OutboxEvent } from './session/outbox.js'
import type { FeedState } from './session/revocation-feed.js'
import type { RedisSessionCache } from './session/session-cache.js'

export const MISSING =
  'Triggers of revocation are missing or disabled, so every request asks PostgreSQL: run `npx session-gateway migrate`'

const WITHOUT_REDIS =
  'what memory does not hold, PostgreSQL is asked for. If it does not come back by itself: is REDIS_URL right? `npx session-gateway doctor`'

export const LISTENER_DETAIL: Readonly<Record<ListenerState, string>> = {
  hears: 'changes made elsewhere are in force within milliseconds',
  deaf: 'LISTEN hears nothing: set DATABASE_DIRECT_URL to a session-mode connection; until then changes are polled for',
  away: 'no connection: changes made elsewhere are polled for twice a second'
}

export function level({ breaker }: Pick<GuardedSql, 'breaker'>): number {
  return breaker.state === 'closed' ? 0 : breaker.state === 'open' ? 1 : 0.5
}

/** What an operator can find again: the user's id, or the beginning of what stands for the token everywhere. */
export function tellRevocation(log: FastifyBaseLogger, { cause, kind, key }: OutboxEvent, lagMs: number): void {
  const whose = kind === 'user' ? { userId: key } : { session: key.slice(0, 12) }
  log.info({ event: 'revocation', cause, ...whose, lagMs: Math.round(lagMs * 10) / 10 })
}

export async function heartbeatAge(cache: RedisSessionCache): Promise<number> {
  const left = await cache.heartbeatLeft()
  return left === null ? Number.POSITIVE_INFINITY : Math.max(0, HEARTBEAT_MS - left)
}

/** Without triggers at the start it has been said; from then on nothing is applied. */
export function tellFeed(log: FastifyBaseLogger, state: FeedState, hadTriggers: boolean): void {
  if (state === 'triggers' && hadTriggers) log.warn({ event: 'triggers.missing' }, `${MISSING}.`)
  else if (state !== 'triggers') log.info({ event: 'cache', current: state === 'applied', reason: state })
}

export function tellRedis(log: FastifyBaseLogger, up: boolean, reason: string): void {
  if (up) log.info({ event: 'redis.up', reason })
  else log.warn({ event: 'redis.down', reason }, `Redis cannot be used: ${WITHOUT_REDIS}`)
}

export async function postgresHealth(sql: GuardedSql): Promise<PartHealth> {
  try {
    await sql.query('select 1', [])
    return { ok: true, needed: true, detail: 'answers' }
  } catch {
    return { ok: false, needed: true, detail: 'does not answer: sessions cannot be looked up' }
  }
}

export function redisHealth(redis: RedisLink | null): PartHealth {
  if (redis === null) return well('not configured: what memory does not hold, PostgreSQL is asked for')
  return redis.run === '' ? slower(`away: ${WITHOUT_REDIS}`) : well('connected')
}

export function cacheHealth(shared: boolean, { local, feed }: Coherence): PartHealth {
  if (feed.state === 'triggers') return slower(MISSING)
  if (!shared && local === null) return well('none')
  return feed.current ? well('current') : slower('not proven current: bypassed')
}

export function listenerHealth(state: ListenerState): PartHealth {
  return (state === 'hears' ? well : slower)(LISTENER_DETAIL[state])
}

function well(detail: string): PartHealth {
  return { ok: true, needed: false, detail }
}

/** Slower, not wrong: the gateway stays ready. */
function slower(detail: string): PartHealth {
  return { ok: false, needed: false, detail }
}

export function tellListener(log: FastifyBaseLogger, state: ListenerState): void {
  if (state === 'hears') log.info({ event: 'listener', state })
  else log.warn({ event: 'listener', state }, LISTENER_DETAIL[state])
}
