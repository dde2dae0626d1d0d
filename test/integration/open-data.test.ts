/** PostgreSQL and Redis as the app opens them: what one part learns, another need not find out again. */
import { join } from 'node:path'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { loadConfig } from '../../src/config/load-config.js'
import { Metrics } from '../../src/edge/metrics.js'
import { openData } from '../../src/open-data.js'
import { checkRoutes } from '../../src/routes/route-rules.js'
import { eventually } from '../support/eventually.js'
import { migratedPostgres, ROUTES, SECRET } from '../support/gateway.js'
import { capturingLog } from '../support/log.js'
import { startRedis } from '../support/redis.js'

function open(t: Test, databaseUrl: string, databaseDirectUrl: string, own: Readonly<Record<string, string>> = {}) {
  const file = join(t.testdir({ 'gateway.yaml': ROUTES.replaceAll('$UPSTREAM', 'http://127.0.0.1:9') }), 'gateway.yaml')
  const variables = { BETTER_AUTH_SECRET: SECRET, DATABASE_URL: databaseUrl, GATEWAY_CONFIG: file, ...own }
  const { env, gateway } = loadConfig(variables, checkRoutes)
  if (gateway === null) throw new TypeError('a file was named')
  const local = { databaseUrl, databaseDirectUrl, secrets: env.secrets }
  return openData({ env, gateway, ...local }, new Metrics(), capturingLog().log)
}

t.test('after an outage a poll that is answered lets a look-up try at once, and one only (R66)', async t => {
  const { url } = await migratedPostgres(t)
  const data = await open(t, url, url)
  t.teardown(() => data.close())
  const { breaker } = data.lookups
  for (let i = 0; i < 5; i++) breaker.failed()
  t.equal(breaker.state, 'open')

  await data.feed.settle()

  t.equal(breaker.state, 'half-open')
  t.equal((await data.lookups.query('select 1', [])).length, 1)
  t.equal(breaker.state, 'closed')
})

t.test('what was opened is closed where the rest cannot be: nothing keeps the process from its end', async t => {
  const [{ url }, redis] = await Promise.all([migratedPostgres(t), startRedis(t)])
  const client = new Redis(redis.url)
  t.teardown(() => client.disconnect())

  await t.rejects(open(t, 'postgres://gateway@127.0.0.1:1/gateway', url, { REDIS_URL: redis.url }), {
    code: 'AUTH_SERVICE_UNAVAILABLE'
  })

  const connections = async () =>
    String(await client.client('LIST'))
      .trim()
      .split('\n').length
  await eventually(async () => (await connections()) === 1, 'nobody but this test is connected')
})
