/**
 * Every committed change reaches the cache, by whatever way it was made, and nobody vouches for what he has not
 * applied.
 */
import t from 'tap'
import { outboxSql, POLL_LIMIT } from '../../../schema/outbox-sql.js'
import { GuardedSql } from '../../../src/data/guarded-sql.js'
import { createLookupPool } from '../../../src/data/postgres.js'
import { createCoherence } from '../../../src/session/coherence.js'
import { DatabaseClock } from '../../../src/session/database-clock.js'
import { hashToken } from '../../../src/session/session.js'
import { eventually } from '../../support/eventually.js'
import { startFlakyLink } from '../../support/flaky-link.js'
import { startSessionStack, type SessionStack, type TestGateway } from '../../support/session-stack.js'

type Added = Awaited<ReturnType<SessionStack['addSession']>>

/** A session that Redis answers for. */
async function aCachedSession(stack: SessionStack, gateway: TestGateway, userId?: string): Promise<Added> {
  const added = await stack.addSession(userId === undefined ? {} : { userId })
  await gateway.resolver.resolve(added.token, false)
  await eventually(async () => (await sourceOf(gateway, added.token)) === 'redis', 'Redis answers for it')
  return added
}

async function sourceOf(gateway: TestGateway, token: string): Promise<string> {
  const { session, source } = await gateway.resolver.resolve(token, false)
  return session === null ? 'refused' : source
}

/** The heartbeat ends, as it does three seconds after the last gateway. */
const lapse = (gateway: TestGateway) => gateway.link.client.del('{sg}:alive')

t.test('on one stack', async t => {
  const stack = await startSessionStack(t)
  const { sql } = stack

  t.test('when settle resolves, a committed change is in force on the other nodes (G1)', async t => {
    const [a, b] = [await stack.aGateway(t, { polling: false }), await stack.aGateway(t, { polling: false })]
    const changes: Record<string, (added: Added) => Promise<unknown>> = {
      'sign-out': ({ token }) => a.store.deleteByToken(token),
      'DELETE by SQL': ({ token }) => sql`delete from session where token = ${token}`,
      ban: ({ userId }) => sql`update "user" set banned = true where id = ${userId}`,
      'deleted user': ({ userId }) => sql`delete from "user" where id = ${userId}`,
      'shortened session': ({ token }) => sql`update session set expires_at = now() where token = ${token}`,
      'renewed token': ({ token }) => sql`update session set token = ${`${token}2`} where token = ${token}`
    }
    for (const [what, change] of Object.entries(changes)) {
      const added = await aCachedSession(stack, a)
      t.equal(await sourceOf(b, added.token), 'redis')

      await change(added)
      await a.feed.settle()

      t.equal(await sourceOf(b, added.token), 'refused', what)
      t.equal(await sourceOf(a, added.token), 'refused', what)
    }
  })

  t.test('a role change is in force for all sessions of the user, also for one that began meanwhile (R51)', async t => {
    const [a, b] = [await stack.aGateway(t, { polling: false }), await stack.aGateway(t, { polling: false })]
    const first = await aCachedSession(stack, a)
    const second = await aCachedSession(stack, b, first.userId)

    await sql`update "user" set role = 'admin, editor' where id = ${first.userId}`
    await a.feed.settle()

    for (const { token } of [first, second]) {
      t.strictSame((await b.resolver.resolve(token, false)).session?.roles, ['admin', 'editor'])
    }
  })

  t.test('TRUNCATE ends everything', async t => {
    const gateway = await stack.aGateway(t, { polling: false })
    const { token } = await aCachedSession(stack, gateway)

    await sql`truncate session`
    await gateway.feed.settle()

    t.equal(await sourceOf(gateway, token), 'refused')
  })

  t.test('by polling alone a change is in force within a second (G2, D12, D13)', async t => {
    const [, b] = [await stack.aGateway(t), await stack.aGateway(t, { polling: false })]
    const { token } = await aCachedSession(stack, b)

    await sql`delete from session where token = ${token}`
    const changed = performance.now()
    await eventually(async () => (await sourceOf(b, token)) === 'refused', 'refused')

    t.ok(performance.now() - changed < 1000)
  })

  t.test('a transaction that commits after later ones is not passed over (D15, counterexample 13)', async t => {
    const gateway = await stack.aGateway(t, { polling: false })
    const [early, late] = [await aCachedSession(stack, gateway), await aCachedSession(stack, gateway)]

    const open = await sql.reserve()
    await open`begin`
    await open`delete from session where token = ${early.token}`
    await sql`delete from session where token = ${late.token}`
    for (let i = 0; i < 3; i++) await gateway.feed.settle()
    t.equal(await sourceOf(gateway, late.token), 'refused')
    t.equal(await sourceOf(gateway, early.token), 'redis', 'not committed yet')
    t.strictSame(gateway.events, ['session'], 'what lies ahead of the cursor is applied once')
    await open`commit`
    open.release()
    await gateway.feed.settle()

    t.equal(await sourceOf(gateway, early.token), 'refused')
    t.strictSame(gateway.events, ['session', 'session'])
  })

  t.test('settle does not join a poll that began before it was called', async t => {
    const gateway = await stack.aGateway(t, { polling: false })
    const before = gateway.polls.length
    const held = await sql.reserve()
    await held`begin`
    await held`lock table gateway_outbox in access exclusive mode`

    const all = [gateway.feed.settle()]
    await eventually(() => gateway.polls.length === before + 1, 'the first poll is under way')
    all.push(gateway.feed.settle(), gateway.feed.settle())
    await held`rollback`
    held.release()
    await Promise.all(all)

    t.equal(gateway.polls.length, before + 2, 'and those who wait share the next one')
  })

  t.test(
    'a gateway that died between the commit and its invalidation: its successor makes up for it (D22)',
    async t => {
      const before = await stack.aGateway(t, { polling: false })
      const { token } = await aCachedSession(stack, before)
      await before.feed.stop()
      await sql`delete from session where token = ${token}`

      const after = await stack.aGateway(t)

      t.equal(await after.link.client.exists('{sg}:alive'), 1, 'the heartbeat never lapsed')
      t.equal(await sourceOf(after, token), 'refused')
    }
  )

  t.test('a fleet that was down while SQL deleted: nothing of it is believed, the rest is still warm', async t => {
    const before = await stack.aGateway(t, { polling: false })
    const [gone, kept] = [await aCachedSession(stack, before), await aCachedSession(stack, before)]
    await before.feed.stop()
    await lapse(before)
    await sql`delete from session where token = ${gone.token}`
    t.equal(await before.link.client.exists(`{sg}:s:${hashToken(gone.token)}`), 1, 'the entry is still there')

    const after = await stack.aGateway(t)

    t.equal(await sourceOf(after, gone.token), 'refused')
    t.equal(await sourceOf(after, kept.token), 'redis')
  })

  t.test('a cursor that is lost (eviction): every entry ends, and the cache begins anew', async t => {
    const gateway = await stack.aGateway(t, { polling: false })
    const { token } = await aCachedSession(stack, gateway)

    await gateway.link.client.del('{sg}:state2')
    await gateway.feed.settle()

    t.equal(await sourceOf(gateway, token), 'postgres')
    await eventually(async () => (await sourceOf(gateway, token)) === 'redis', 'filled again')
  })

  t.test('a state that cannot be read, damaged or of another format: the cache begins anew, once', async t => {
    const gateway = await stack.aGateway(t, { polling: false })
    const { token } = await aCachedSession(stack, gateway)
    const { text } = (await gateway.cache.open()).state
    for (const unreadable of [text.replace(/[^|]*$/, '100'), text.slice(0, -3), 'x', '||||', `${text}x`]) {
      await gateway.link.client.set('{sg}:state2', unreadable)
      await gateway.feed.settle()
      const { nonce } = (await gateway.cache.open()).state
      t.equal(await sourceOf(gateway, token), 'postgres', unreadable)
      await gateway.feed.settle()

      t.equal((await gateway.cache.open()).state.nonce, nonce, 'once')
      await eventually(async () => (await sourceOf(gateway, token)) === 'redis', 'filled again')
    }
  })

  t.test('more changes at once than a poll brings: every entry ends', async t => {
    const gateway = await stack.aGateway(t, { polling: false })
    const { token } = await aCachedSession(stack, gateway)
    await sql`insert into gateway_outbox (kind, key) select 's', i::text from generate_series(0, ${POLL_LIMIT}) i`

    await gateway.feed.settle()

    t.equal(await sourceOf(gateway, token), 'postgres')
    t.strictSame(gateway.events, [], 'none was applied one by one')
  })

  t.test('two databases behind one Redis: neither believes what the other vouches for', async t => {
    const other = await startSessionStack(t)
    const here = await stack.aGateway(t, { polling: false })
    const { token } = await aCachedSession(stack, here)
    const there = await other.aGateway(t, { redisUrl: stack.redis.url, polling: false })

    t.equal(await sourceOf(here, token), 'postgres', 'the heartbeat is of the other database')
    await sql`delete from session where token = ${token}`
    t.equal(await sourceOf(here, token), 'refused', 'nobody has applied it, and nobody needs to')
    const elsewhere = await aCachedSession(other, there)
    await here.feed.settle()
    t.equal(await sourceOf(there, elsewhere.token), 'postgres')
  })

  t.test('old rows are collected, never one that was committed after the cursor was read', async t => {
    const gateway = await stack.aGateway(t, { polling: false })
    const { collect, poll } = outboxSql(stack.shape)
    const keys = async () =>
      (await sql`select key from gateway_outbox where key like 'k%' order by key`).map(row => row['key'])
    const add = (key: string) =>
      sql`insert into gateway_outbox (kind, key, at) values ('s', ${key}, now() - interval '2 hours')`
    await add('k1 old')
    const open = await sql.reserve()
    await open`begin`
    await open`insert into gateway_outbox (kind, key, at) values ('s', 'k2 old, committed late', now() - interval '2 hours')`
    await sql`insert into gateway_outbox (kind, key) values ('s', 'k3 young')`
    const [{ next_cursor }] = (await sql.unsafe(poll, ['1:1:', ''])) as [{ next_cursor: string }]
    await open`commit`
    open.release()

    await gateway.outbox.collect(next_cursor, new AbortController().signal)
    t.strictSame(await keys(), ['k2 old, committed late', 'k3 young'])

    const [{ next_cursor: next }] = (await sql.unsafe(poll, ['1:1:', ''])) as [{ next_cursor: string }]
    t.equal((await sql.unsafe(collect, [next])).count > 0, true)
    t.strictSame(await keys(), ['k3 young'])
  })

  t.test("the clock is the database's, whatever was believed before (G3, D17)", async t => {
    const gateway = await stack.aGateway(t, { polling: false })
    gateway.clock.set(Date.now() - 600_000, performance.now())
    await gateway.feed.settle()
    const [row] = await sql`select (extract(epoch from clock_timestamp()) * 1000)::float8 as now`
    const ahead = gateway.clock.now() - row?.['now']

    t.ok(ahead > -1000 && ahead < 1000, `${ahead} ms ahead`)
  })

  t.test('a database without triggers and outbox is read for its clock alone', async t => {
    const pool = new GuardedSql(() => createLookupPool(stack.postgres.url, 1))
    t.teardown(() => pool.close())
    const clock = new DatabaseClock()
    clock.set(0, performance.now())
    const { feed, outbox, local } = createCoherence({
      shape: stack.shape,
      triggers: false,
      sql: pool,
      cache: null,
      clock,
      cacheTtlMs: 300_000,
      localLeaseMs: 1000,
      graceful: true,
      connectListener: null
    })
    t.teardown(() => feed.stop())

    await feed.start()
    await outbox.collect('1:1:', new AbortController().signal)
    await feed.settle()

    t.equal(local, null, 'no cache in memory that nobody could prove current')
    t.ok(Math.abs(clock.now() - Date.now()) < 5000)
  })
})

t.test('Redis out of reach of one node: settle waits until no heartbeat can still be believed', async t => {
  const stack = await startSessionStack(t)
  const way = await startFlakyLink(t, stack.redis.port)
  const url = `redis://127.0.0.1:${way.port}`
  const cutOff = await stack.aGateway(t, { redisUrl: url, polling: false })
  const near = await stack.aGateway(t, { polling: false })
  const { token } = await aCachedSession(stack, near)
  await near.feed.settle()

  way.stall()
  await cutOff.store.deleteByToken(token)
  const started = performance.now()
  const settling = cutOff.feed.settle()
  const settled = settling.then(() => 'settled')
  t.equal(await sourceOf(near, token), 'redis', 'so to answer now would be a lie')
  const refusedAt = await firstRefusal(near, token)
  t.equal(await Promise.race([settled, 'waiting']), 'waiting', 'the heartbeat lapses before the answer')
  await settling
  const waited = performance.now() - started

  t.ok(refusedAt - started > 1000 && waited > 3000 && waited < 4500, `${Math.round(waited)} ms`)
  t.equal(await sourceOf(near, token), 'refused')

  way.cut()
  way.resume()
  const next = await aCachedAgain(stack, near)
  await cutOff.store.deleteByToken(next.token)
  const again = performance.now()
  await cutOff.feed.settle()
  t.ok(performance.now() - again < 2900, 'back in reach, it need not wait that long')
  t.equal(await sourceOf(near, next.token), 'refused')
})

t.test(
  'PostgreSQL gone: settle says so, the heartbeat lapses, and afterwards nothing old is believed (P1, P5)',
  async t => {
    const stack = await startSessionStack(t)
    const gateway = await stack.aGateway(t)
    const { token } = await aCachedSession(stack, gateway)

    await stack.postgres.kill9()
    await t.rejects(gateway.feed.settle(), { code: 'AUTH_SERVICE_UNAVAILABLE', statusCode: 503 })
    t.equal(gateway.feed.current, false)
    await eventually(async () => (await gateway.link.client.exists('{sg}:alive')) === 0, 'the heartbeat lapses')
    await t.rejects(gateway.resolver.resolve(token, false), { code: 'AUTH_SERVICE_UNAVAILABLE' })

    await stack.postgres.restart()
    await eventually(() => gateway.feed.current, 'polling again')
    t.equal(await sourceOf(gateway, token), 'postgres', 'a server that started anew is another one')
  }
)

t.test('Redis frozen: look-ups go on from PostgreSQL, and from Redis once it is back (R1, R2)', async t => {
  const stack = await startSessionStack(t)
  const gateway = await stack.aGateway(t, { redisTimeoutMs: 50 })
  const { token } = await stack.addSession()

  stack.redis.pause()
  const slowest = Math.max(...(await inTurn(10, () => timed(() => gateway.resolver.resolve(token, false)))))
  t.ok(slowest < 250, `the slowest of the first took ${Math.round(slowest)} ms`)
  const known = Math.min(...(await inTurn(5, () => timed(() => gateway.resolver.resolve(token, false)))))
  t.ok(known < 40, `known to be frozen: ${Math.round(known)} ms`)
  stack.redis.resume()

  await eventually(async () => (await sourceOf(gateway, token)) === 'redis', 'Redis answers again')
  await stack.redis.kill9()
  t.equal(await sourceOf(gateway, token), 'postgres')
  await stack.redis.restart()
  await eventually(async () => (await sourceOf(gateway, token)) === 'redis', 'a new Redis is filled')
})

async function firstRefusal(gateway: TestGateway, token: string): Promise<number> {
  await eventually(async () => (await sourceOf(gateway, token)) === 'refused', 'refused')
  return performance.now()
}

/** The heartbeat must first be renewed by somebody. */
async function aCachedAgain(stack: SessionStack, gateway: TestGateway): Promise<Added> {
  await gateway.feed.settle()
  return aCachedSession(stack, gateway)
}

async function inTurn(times: number, measure: () => Promise<number>): Promise<number[]> {
  const all: number[] = []
  for (let i = 0; i < times; i++) all.push(await measure())
  return all
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}
