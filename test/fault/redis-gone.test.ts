/** Redis stopped, frozen, restarted, full: the gateway gets slower, never wrong and never refuses (K01-K05). */
import t, { type Test } from 'tap'
import { freePort } from '../../src/data/postgres-cluster.js'
import { get, post, signUp, startGateway, type TestGateway, type TestUser } from '../support/gateway.js'

async function manyCalls(t: Test, gateway: TestGateway, ada: TestUser, count: number) {
  const startedAt = performance.now()
  const statuses = new Set<number>()
  for (let i = 0; i < count; i++) statuses.add((await get(gateway, '/api/a/x', { cookie: ada.cookie })).status)
  const ms = performance.now() - startedAt
  t.strictSame([...statuses], [200], `${count} calls, ${Math.round(ms)} ms`)
  return ms
}

/** What was revoked stays revoked, with Redis as it is now and after it is back. */
async function revokesStill(t: Test, gateway: TestGateway, ada: TestUser, recover: () => void | Promise<void>) {
  const signOut = await post(gateway, '/api/auth/sign-out', {}, { cookie: ada.cookie })
  t.equal(signOut.status, 200, 'at the latest when every heartbeat that does not know of it has lapsed')
  const status = async () => (await get(gateway, '/api/a/x', { cookie: ada.cookie })).status
  t.equal(await status(), 401)

  await recover()
  for (let i = 0; i < 50; i++) t.equal(await status(), 401)
}

t.test('Redis killed, and started again empty', async t => {
  const gateway = await startGateway(t)
  const ada = await signUp(gateway)
  await manyCalls(t, gateway, ada, 3)
  await gateway.redis?.kill9()

  await manyCalls(t, gateway, ada, 50)
  t.equal((await get(gateway, '/readyz')).status, 200, 'slower, but ready')
  await revokesStill(t, gateway, ada, () => gateway.redis?.restart())
})

t.test('Redis never there: it is said once, with what to do, and the gateway serves (R67)', async t => {
  const gateway = await startGateway(t, {
    redis: false,
    env: { REDIS_URL: `redis://:hunter2@127.0.0.1:${await freePort()}` }
  })
  const ada = await signUp(gateway)

  await manyCalls(t, gateway, ada, 20)
  const down = gateway.log.filter(({ event }) => event === 'redis.down')
  t.match(down, [{ level: 40, reason: 'ECONNREFUSED', msg: /REDIS_URL.*doctor/ }])
  t.equal(down.length, 1)
  const ready = await fetch(`http://127.0.0.1:${gateway.opsPort}/readyz`)
  t.match(await ready.json(), { ready: true, redis: { ok: false, needed: false, detail: /^away: .*REDIS_URL.*doctor/ } })
  t.notMatch(JSON.stringify(gateway.log), 'hunter2')
})

t.test('Redis frozen: the breaker opens after a few slow calls', async t => {
  const gateway = await startGateway(t)
  const ada = await signUp(gateway)
  await manyCalls(t, gateway, ada, 3)
  gateway.redis?.pause()
  t.teardown(() => gateway.redis?.resume())

  await manyCalls(t, gateway, ada, 10)
  const ms = await manyCalls(t, gateway, ada, 20)
  t.ok(ms < 1000, 'nobody waits for Redis any more')
  await revokesStill(t, gateway, ada, () => gateway.redis?.resume())
})

t.test('Redis full: what is there is served, fills fail in silence, revocations work (K03)', async t => {
  const gateway = await startGateway(t)
  const ada = await signUp(gateway)
  await manyCalls(t, gateway, ada, 2)
  const { Redis } = await import('ioredis')
  const client = new Redis(gateway.redis?.url ?? '')
  t.teardown(() => client.disconnect())
  await client.config('SET', 'maxmemory', '1')
  await client.config('SET', 'maxmemory-policy', 'noeviction')

  const late = await signUp(gateway)
  await manyCalls(t, gateway, ada, 5)
  await manyCalls(t, gateway, late, 5)
  await revokesStill(t, gateway, ada, async () => {
    await client.config('SET', 'maxmemory', '0')
  })
})
