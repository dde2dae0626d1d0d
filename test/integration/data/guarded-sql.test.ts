/** Statements that end, whatever the server does, and what the breaker makes of it (R64, R66). */
import t, { type Test } from 'tap'
import { GuardedSql } from '../../../src/data/guarded-sql.js'
import { createLookupPool } from '../../../src/data/postgres.js'
import { startFlakyLink } from '../../support/flaky-link.js'
import { startPostgres, type TestPostgres } from '../../support/postgres.js'

const CONNECTIONS = 10
const ONE = 'select $1::text as one'

const onAll = <T>(each: T): T[] => Array.from({ length: CONNECTIONS }, () => each)

async function setUp(t: Test, server: TestPostgres) {
  const link = await startFlakyLink(t, server.port)
  const url = server.url.replace(`:${server.port}/`, `:${link.port}/`)
  const sql = new GuardedSql(() => createLookupPool(url, CONNECTIONS))
  t.teardown(() => sql.close())
  const ask = () => sql.query<{ one: string }>(ONE, ['1'])
  const askOnAll = () => Promise.allSettled(Array.from({ length: CONNECTIONS }, ask))
  await askOnAll()
  return { link, sql, ask, askOnAll }
}

t.test('statements and a server that falls silent', async t => {
  const server = await startPostgres(t)

  t.test('one stall with ten statements under way leaves the breaker closed', async t => {
    const { link, sql, ask, askOnAll } = await setUp(t, server)

    link.loseOpenOnes()
    const begun = performance.now()
    const outcomes = await askOnAll()

    t.ok(performance.now() - begun < 1500)
    // Whoever is still in time when the first gives the pool up asks again on a new one.
    const refused = outcomes.filter(({ status }) => status === 'rejected')
    t.ok(refused.length > 0)
    for (const each of refused) t.match(each, { reason: { code: 'AUTH_SERVICE_UNAVAILABLE' } })
    t.equal(sql.breaker.state, 'closed')
    t.equal(sql.busy, 0)
    t.same(await ask(), [{ one: '1' }], 'the next one is answered')
  })

  t.test('who was sent later than the one that ran out of time is asked again, and answered', async t => {
    const { link, ask } = await setUp(t, server)

    link.loseOpenOnes()
    const first = ask()
    const later = new Promise(resolve => setTimeout(resolve, 200)).then(ask)

    await t.rejects(first, { code: 'AUTH_SERVICE_UNAVAILABLE' })
    t.same(await later, [{ one: '1' }])
  })

  t.test('an answer in time costs nobody anything later', async t => {
    const { sql, askOnAll } = await setUp(t, server)

    for (let round = 0; round < 5; round++) {
      const outcomes = await askOnAll()
      t.match(outcomes, onAll({ value: [{ one: '1' }] }))
    }

    t.equal(sql.busy, 0)
    t.equal(sql.breaker.state, 'closed')
  })
})
