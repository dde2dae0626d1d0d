/**
 * Somebody drops the triggers of a running gateway: it says so, asks PostgreSQL for everything, and is mended by
 * `migrate`.
 */
import postgres from 'postgres'
import t from 'tap'
import { migrate } from '../../src/data/migrate.js'
import { eventually } from '../support/eventually.js'
import { get, post, signUp, startGateway, type TestGateway } from '../support/gateway.js'

t.test(
  'triggers dropped while it runs: calls go on, sign-outs stay true, and the operator is told what to do',
  async t => {
    const gateway = await startGateway(t)
    const { sql, log } = gateway
    const [ada, eve] = [await signUp(gateway), await signUp(gateway)]
    for (const { cookie } of [ada, eve]) {
      await eventually(async () => (await source(gateway, cookie)) === 'local', 'remembered')
    }

    await sql`drop trigger gateway_session_deleted on auth.session`
    await eventually(() => log.some(({ event }) => event === 'triggers.missing'), 'it is noticed')

    t.match(log.find(({ event }) => event === 'triggers.missing')?.['msg'], /npx session-gateway migrate/)
    const { ready, cache } = await readiness(gateway)
    t.equal(ready, true, 'slower, not wrong')
    t.match(cache.detail, /Triggers.*missing.*session-gateway migrate/)
    for (let i = 0; i < 3; i++) t.equal(await source(gateway, eve.cookie), 'postgres')
    t.equal((await post(gateway, '/api/auth/sign-out', {}, { cookie: ada.cookie })).status, 200)
    t.equal((await get(gateway, '/api/a/x', { cookie: ada.cookie })).status, 401)

    const owner = postgres(gateway.postgres.url, { max: 1, onnotice: () => {} })
    t.teardown(() => owner.end({ timeout: 1 }))
    await migrate(owner, { schema: null, mode: 'hosted' }, () => {})
    await eventually(async () => (await source(gateway, eve.cookie)) === 'local', 'remembered again')
    t.match(await readiness(gateway), { cache: { detail: 'current' } })
    t.equal(log.filter(({ event }) => event === 'triggers.missing').length, 1, 'said once')
  }
)

async function source(gateway: TestGateway, cookie: string): Promise<unknown> {
  const lines = gateway.log.length
  const { status } = await get(gateway, '/api/a/x', { cookie })
  if (status !== 200) throw new Error(`answered ${status}`)
  const line = () => gateway.log.slice(lines).find(({ route }) => route === 'a')
  await eventually(() => line() !== undefined, 'the line of the request')
  return line()?.['source']
}

async function readiness({ opsPort }: TestGateway) {
  const answer = await fetch(`http://127.0.0.1:${opsPort}/readyz`)
  return (await answer.json()) as { ready: boolean; cache: { detail: string } }
}
