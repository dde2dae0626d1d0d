/** A transaction pooler between the gateway and PostgreSQL: it accepts LISTEN and swallows every notification. */
import t from 'tap'
import { eventually } from '../support/eventually.js'
import { get, migratedPostgres, post, signUp, startGateway, type TestGateway } from '../support/gateway.js'
import { startPooler } from '../support/pgbouncer.js'
import { startRedis } from '../support/redis.js'

const stateOf = ({ log }: TestGateway) => log.findLast(line => line['event'] === 'listener')

t.test('behind a pooler', async t => {
  const postgres = await migratedPostgres(t)
  const redis = await startRedis(t)
  const pooled = await startPooler(t, postgres.url)

  t.test('alone, it is found out at the start, said with what mends it, and nothing is less true', async t => {
    const common = { postgres, redis, env: { DATABASE_URL: pooled } }
    const [a, b] = [await startGateway(t, common), await startGateway(t, common)]
    await eventually(() => stateOf(a)?.['state'] === 'deaf', 'it notices')
    t.match(stateOf(a), { level: 40, msg: /DATABASE_DIRECT_URL/ })
    const ada = await signUp(a)
    const status = async () => (await get(b, '/api/a/x', { cookie: ada.cookie })).status
    t.strictSame([await status(), await status()], [200, 200])
    t.equal((await post(a, '/api/auth/sign-out', {}, { cookie: ada.cookie })).status, 200)
    t.equal(await status(), 401)
    t.match(await (await fetch(`http://127.0.0.1:${a.opsPort}/readyz`)).json(), {
      ready: true,
      listener: { ok: false, detail: /DATABASE_DIRECT_URL/ }
    })
  })

  t.test('with DATABASE_DIRECT_URL past it, changes made elsewhere are heard of', async t => {
    const env = { DATABASE_URL: pooled, DATABASE_DIRECT_URL: postgres.url }
    const a = await startGateway(t, { postgres, redis, env })
    await eventually(() => stateOf(a)?.['state'] === 'hears', 'it hears')
    const ada = await signUp(a)
    t.equal((await get(a, '/api/a/x', { cookie: ada.cookie })).status, 200)
    await a.sql`update auth."user" set banned = true where id = ${ada.id}`
    await eventually(async () => (await get(a, '/api/a/x', { cookie: ada.cookie })).status === 401, 'in force')
  })
})
