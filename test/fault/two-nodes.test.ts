/**
 * Two whole gateways on one database and one Redis, and what can go wrong around them: facts/reliability, section 3.
 * The invariant of every case: nobody is let in on a state that a revocation has been answered for, and our own
 * trouble is a 503, never a 401.
 */
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { eventually } from '../support/eventually.js'
import { startFlakyLink } from '../support/flaky-link.js'
import {
  type GatewayOptions,
  get,
  migratedPostgres,
  post,
  signIn,
  signUp,
  startGateway,
  type TestGateway,
  type TestUser
} from '../support/gateway.js'
import { startRedis } from '../support/redis.js'

type Fleet = readonly [TestGateway, TestGateway]

async function aFleet(t: Test, second: GatewayOptions = {}): Promise<Fleet> {
  const postgres = await migratedPostgres(t)
  const redis = await startRedis(t)
  const a = await startGateway(t, { postgres, redis })
  const b = await startGateway(t, { postgres, redis, ...second })
  for (const gateway of [a, b]) await eventually(() => said(gateway, 'listener', 'hears'), 'it hears NOTIFY')
  return [a, b]
}

function said({ log }: TestGateway, event: string, state: string): boolean {
  return log.findLast(line => line['event'] === event)?.['state'] === state
}

async function call(gateway: TestGateway, { cookie }: Pick<TestUser, 'cookie'>): Promise<number> {
  const answer = await get(gateway, '/api/a/x', { cookie })
  await answer.arrayBuffer()
  return answer.status
}

async function warm(fleet: Fleet, user: Pick<TestUser, 'cookie'>): Promise<void> {
  for (const gateway of fleet) for (let i = 0; i < 3; i++) await call(gateway, user)
}

const signOut = (gateway: TestGateway, { cookie }: Pick<TestUser, 'cookie'>) =>
  post(gateway, '/api/auth/sign-out', {}, { cookie })

t.test('a sign-out at one, a thousand calls at the other: all 401', async t => {
  const [a, b] = await aFleet(t)
  const ada = await signUp(a)
  await warm([a, b], ada)
  t.equal(await call(b, ada), 200)
  t.equal((await signOut(a, ada)).status, 200)

  const statuses = new Set<number>()
  for (let i = 0; i < 20; i++) {
    for (const status of await Promise.all(Array.from({ length: 50 }, () => call(b, ada)))) statuses.add(status)
  }
  t.strictSame([...statuses], [401])
})

t.test('LISTEN is cut off: changes are polled for, and heard again when it is back (P6)', async t => {
  const [a, b] = await aFleet(t)
  const ada = await signUp(a)
  await warm([a, b], ada)
  const cut = () => a.sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%listen'`
  t.ok((await cut()).length >= 2)
  await a.sql`update auth."user" set banned = true where id = ${ada.id}`
  await eventually(async () => (await call(b, ada)) === 401 && (await call(a, ada)) === 401, 'in force')

  const bob = await signUp(a)
  await warm([a, b], bob)
  await cut()
  t.equal((await signOut(a, bob)).status, 200, 'no node has to be heard for it')
  t.equal(await call(b, bob), 401)
})

t.test('LISTEN leads into a black hole: noticed, replaced, and no answer waits longer than a lease', async t => {
  const postgres = await migratedPostgres(t)
  const redis = await startRedis(t)
  const way = await startFlakyLink(t, Number(new URL(postgres.url).port))
  const deafUrl = postgres.url.replace(/:\d+\//, `:${way.port}/`)
  const a = await startGateway(t, { postgres, redis })
  const b = await startGateway(t, { postgres, redis, env: { DATABASE_DIRECT_URL: deafUrl } })
  await eventually(() => said(b, 'listener', 'hears'), 'it hears')
  const ada = await signUp(a)
  await warm([a, b], ada)
  way.stall()
  t.equal((await signOut(a, ada)).status, 200)
  t.equal(await call(b, ada), 401)
  await eventually(() => said(b, 'listener', 'deaf') || said(b, 'listener', 'away'), 'it says so', 15_000)
  way.resume()
  way.cut()
  await eventually(() => said(b, 'listener', 'hears'), 'a new connection', 15_000)
})

t.test('PostgreSQL takes no writes: calls go on, nobody signs in or out (P4)', async t => {
  const [a, b] = await aFleet(t)
  const ada = await signUp(a)
  await warm([a, b], ada)
  await a.sql`alter system set default_transaction_read_only = on`
  await a.sql`select pg_reload_conf()`
  await eventually(
    async () => (await a.sql`show default_transaction_read_only`)[0]?.['default_transaction_read_only'] === 'on',
    'on'
  )

  const refused = await signOut(a, ada)
  t.equal(refused.status, 503)
  t.ok(refused.headers.get('retry-after'))
  t.strictSame(refused.headers.getSetCookie(), [], 'the cookie is kept')
  t.equal(
    (await post(a, '/api/auth/sign-in/email', { email: ada.email, password: 'correct horse battery staple' })).status,
    503
  )
  for (const gateway of [a, b]) t.equal(await call(gateway, ada), 200)

  await a.sql`set default_transaction_read_only = off`
  await a.sql`alter system reset default_transaction_read_only`
  await a.sql`select pg_reload_conf()`
  await eventually(async () => (await signOut(a, ada)).status === 200, 'signed out')
  t.equal(await call(b, ada), 401)
})

t.test('Redis flushed, and its keys evicted one by one: misses, no wrong answer (R5)', async t => {
  const [a, b] = await aFleet(t)
  const client = new Redis(a.redis?.url ?? '')
  t.teardown(() => client.disconnect())
  const ada = await signUp(a)
  await warm([a, b], ada)
  for (const key of ['{sg}:q', '{sg}:state2', '{sg}:alive']) {
    const session = await signIn(a, ada.email)
    await warm([a, b], session)
    await client.del(key)
    t.equal(await call(b, session), 200, key)
    t.equal((await signOut(a, session)).status, 200, key)
    t.equal(await call(b, session), 401, key)
  }
  await client.flushall()
  t.equal(await call(a, ada), 200)
  t.equal((await signOut(b, ada)).status, 200)
  t.equal(await call(a, ada), 401)
})

t.test('Redis comes back with an old snapshot: the session in it is dead (R3, counterexample 7)', async t => {
  const [a, b] = await aFleet(t, { env: { SESSION_LOCAL_LEASE: '0' } })
  const client = new Redis(a.redis?.url ?? '')
  client.on('error', () => {})
  t.teardown(() => client.disconnect())
  const ada = await signUp(a)
  await warm([a, b], ada)
  const copy = new Map<string, [Buffer, number]>()
  for (const key of await client.keys('*')) {
    const value = await client.dumpBuffer(key)
    if (value !== null) copy.set(key, [value, Math.max(0, await client.pttl(key))])
  }
  t.ok(
    [...copy.keys()].some(key => key.startsWith('{sg}:s:')),
    'the snapshot has the session'
  )
  t.equal((await signOut(a, ada)).status, 200)
  await a.redis?.kill9()
  await a.redis?.restart()
  for (const [key, [value, ttl]] of copy) {
    await eventually(
      () =>
        client.restore(key, ttl, value, 'REPLACE').then(
          () => true,
          () => false
        ),
      key
    )
  }

  for (let i = 0; i < 20; i++) for (const gateway of [a, b]) t.equal(await call(gateway, ada), 401)
})

t.test('Redis killed and started again while calls run: no 5xx, and nobody who is signed out (R1)', async t => {
  const [a, b] = await aFleet(t)
  const ada = await signUp(a)
  await warm([a, b], ada)
  const seen = new Map<number, number>()
  const state = { running: true }
  const caller = async (gateway: TestGateway) => {
    while (state.running) {
      const status = await call(gateway, ada)
      seen.set(status, (seen.get(status) ?? 0) + 1)
    }
  }
  const callers = Promise.all([a, b, a, b].map(caller))
  await a.redis?.kill9()
  const bob = await signUp(a)
  t.equal((await signOut(a, bob)).status, 200)
  t.equal(await call(b, bob), 401)
  await a.redis?.restart()
  await eventually(() => a.log.findLast(line => line['event'] === 'redis.up') !== undefined, 'back')
  t.equal(await call(b, bob), 401)
  state.running = false
  await callers

  t.strictSame([...seen.keys()], [200])
})

t.test('both databases gone: 503 in no time, alive, not ready (RP)', async t => {
  const [a, b] = await aFleet(t)
  const ada = await signUp(a)
  await warm([a, b], ada)
  await a.redis?.kill9()
  await a.postgres.kill9()
  await eventually(async () => (await call(b, ada)) === 503, 'neither memory nor anybody else answers', 15_000)

  const answer = await get(b, '/api/a/x', { cookie: ada.cookie })
  t.match(await answer.json(), { code: 'AUTH_SERVICE_UNAVAILABLE' })
  t.ok(answer.headers.get('retry-after'))
  t.equal((await get(b, '/livez')).status, 200)
  t.equal((await get(b, '/readyz')).status, 503)
})
