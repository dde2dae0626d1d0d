/**
 * The session path on a real PostgreSQL and a real Redis: database migrated, every part built as the gateway
 * builds it. `aGateway` can be called several times: processes of one fleet, as far as they can tell.
 */
import { randomBytes } from 'node:crypto'
import postgres, { type Sql } from 'postgres'
import type { AuthShape } from '../../src/data/auth-shape.js'
import { GuardedSql } from '../../src/data/guarded-sql.js'
import { migrate } from '../../src/data/migrate.js'
import { createDirectClient, createListenClient, createLookupPool } from '../../src/data/postgres.js'
import { RedisLink } from '../../src/data/redis.js'
import { createCoherence } from '../../src/session/coherence.js'
import { DatabaseClock } from '../../src/session/database-clock.js'
import type { LookupOutcome } from '../../src/session/flight.js'
import type { LocalCache } from '../../src/session/local-cache.js'
import type { Outbox } from '../../src/session/outbox.js'
import { SessionResolver } from '../../src/session/resolve-session.js'
import type { RevocationFeed } from '../../src/session/revocation-feed.js'
import type { LookupSource } from '../../src/session/session.js'
import { RedisSessionCache } from '../../src/session/session-cache.js'
import { createSessionQuery } from '../../src/session/session-query.js'
import { SessionStore } from '../../src/session/session-store.js'
import { startPostgres, type TestPostgres } from './postgres.js'
import { startRedis, type TestRedis } from './redis.js'
import { eventually } from './eventually.js'

type Scope = { teardown: (fn: () => unknown) => unknown }

export interface SessionStack {
  readonly postgres: TestPostgres
  readonly redis: TestRedis
  readonly shape: AuthShape
  /** For what a test does behind the gateway's back. */
  readonly sql: Sql
  /** A user with one session that lives a day. */
  addSession: (overrides?: { userId?: string; seconds?: number }) => Promise<{ token: string; userId: string }>
  /** Closed with the scope. */
  aGateway: (scope: Scope, options?: GatewayOptions) => Promise<TestGateway>
}

export interface GatewayOptions {
  readonly cached?: boolean
  readonly slots?: number
  /** False: the feed polls once, and then only when it is told to settle. */
  readonly polling?: boolean
  /** Default false: an ear for NOTIFY. */
  readonly listening?: boolean
  /** Default 0: no cache in memory. */
  readonly localLeaseMs?: number
  /** Default false: the shared cache ends with PostgreSQL. */
  readonly graceful?: boolean
  readonly redisUrl?: string
  /** Default: a second, for what a busy machine delays; the gateway's own value is 50. */
  readonly redisTimeoutMs?: number
  readonly postgresUrl?: string
}

export interface TestGateway {
  readonly resolver: SessionResolver
  readonly store: SessionStore
  readonly cache: RedisSessionCache
  readonly local: LocalCache | null
  readonly feed: RevocationFeed
  readonly clock: DatabaseClock
  readonly link: RedisLink
  readonly lookups: GuardedSql
  /** Statements of the look-up pool, in the order sent. */
  readonly statements: string[]
  readonly polls: string[]
  readonly outbox: Outbox
  readonly outcomes: LookupOutcome[]
  readonly sources: LookupSource[]
  readonly events: string[]
  /** How long answers waited for the other gateways, and why they ended waiting. */
  readonly waits: { ms: number; outcome: string }[]
  readonly hears: () => boolean
  /** From now on no notification reaches it. */
  readonly deafen: () => void
}

export async function startSessionStack(scope: Scope, redisArgs: readonly string[] = []): Promise<SessionStack> {
  const [server, redis] = await Promise.all([startPostgres(scope), startRedis(scope, { args: redisArgs })])
  const direct = createDirectClient(server.url)
  const shape = await migrate(direct, { schema: null, mode: 'hosted' }, () => {})
  await direct.end()
  const sql = postgres(server.url, { onnotice: () => {}, max: 4, connection: { search_path: shape.schema } })
  scope.teardown(() => sql.end({ timeout: 1 }))

  const addSession: SessionStack['addSession'] = async ({ userId, seconds = 86_400 } = {}) => {
    const user = userId ?? `user-${randomBytes(6).toString('hex')}`
    const token = randomBytes(16).toString('hex')
    await sql`insert into "user" (id, name, email, role) values (${user}, 'Ada', ${`${user}@example.com`}, 'user')
              on conflict do nothing`
    await sql`insert into session (id, token, user_id, expires_at)
              values (${`session-${token}`}, ${token}, ${user}, now() + ${seconds} * interval '1 second')`
    return { token, userId: user }
  }
  const stack = { postgres: server, redis, shape, sql, addSession }
  return { ...stack, aGateway: (scope, options) => aGateway(scope, stack, options) }
}

async function aGateway(
  scope: Scope,
  { postgres: server, redis, shape }: Pick<SessionStack, 'postgres' | 'redis' | 'shape'>,
  {
    cached = true,
    slots = 10,
    polling = true,
    listening = false,
    localLeaseMs = 0,
    graceful = false,
    redisUrl,
    redisTimeoutMs = 1000,
    postgresUrl
  }: GatewayOptions = {}
): Promise<TestGateway> {
  const statements: string[] = []
  const polls: string[] = []
  const outcomes: LookupOutcome[] = []
  const sources: LookupSource[] = []
  const events: string[] = []
  const url = postgresUrl ?? server.url
  const link = new RedisLink(redisUrl ?? redis.url, () => {}, redisTimeoutMs)
  const lookups = new GuardedSql(() => recording(createLookupPool(url, slots), statements))
  const pollPool = new GuardedSql(() => recording(createLookupPool(url, 2), polls))
  const cache = new RedisSessionCache(link, 300)
  const clock = new DatabaseClock()
  const store = new SessionStore(lookups, createSessionQuery(shape), slots)
  const waits: TestGateway['waits'] = []
  let deaf = false
  const { local, feed, outbox, start, stop, listenerState } = createCoherence({
    shape,
    triggers: true,
    sql: pollPool,
    cache: cached ? cache : null,
    clock,
    cacheTtlMs: 300_000,
    localLeaseMs,
    graceful,
    connectListener: listening ? () => createListenClient(url) : null,
    onEvent: ({ kind }) => events.push(kind),
    onWaited: (ms, outcome) => waits.push({ ms, outcome })
  })
  const hear = feed.hear.bind(feed)
  feed.hear = message => {
    if (!deaf) hear(message)
  }
  const resolver = new SessionResolver({
    cache: cached ? cache : null,
    local,
    store,
    clock,
    listener: (source, outcome) => {
      sources.push(source)
      outcomes.push(outcome)
    }
  })
  scope.teardown(async () => {
    await stop()
    link.close()
    await Promise.all([lookups.close(), pollPool.close()])
  })
  if (cached) await eventually(() => link.run !== '', 'Redis says who it is')
  await (polling ? start() : feed.settle())
  return {
    resolver,
    store,
    cache,
    local,
    feed,
    clock,
    link,
    lookups,
    statements,
    polls,
    outbox,
    outcomes,
    sources,
    events,
    waits,
    hears: () => listenerState() === 'hears',
    deafen: () => {
      deaf = true
    }
  }
}

/** The same client, with every statement it is given noted. */
function recording(sql: Sql, statements: string[]): Sql {
  const unsafe = sql.unsafe.bind(sql)
  return Object.assign(sql, {
    unsafe: (...args: Parameters<Sql['unsafe']>) => {
      statements.push(args[0])
      return unsafe(...args)
    }
  })
}
