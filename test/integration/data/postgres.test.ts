import t from 'tap'
import { createAuthPool, createDirectClient, createLookupPool, waitForPostgres } from '../../../src/data/postgres.js'
import { startPostgres } from '../../support/postgres.js'

t.test('connections to PostgreSQL', async t => {
  const server = await startPostgres(t)

  t.test('the server itself ends a look-up after 800 ms (K08)', async t => {
    const sql = createLookupPool(server.url, 1)
    t.teardown(() => sql.end({ timeout: 1 }))
    const begun = performance.now()

    await t.rejects(sql`select pg_sleep(5)`, { code: '57014' })

    t.ok(performance.now() - begun < 2000)
    t.same(await sql`select 1 as n`, [{ n: 1 }], 'the connection is good afterwards')
  })

  t.test('a look-up is planned once and not each time', async t => {
    const sql = createLookupPool(server.url, 1)
    t.teardown(() => sql.end({ timeout: 1 }))
    const text = 'select relname from pg_class where relname = any($1::text[])'
    for (let i = 0; i < 8; i++) await sql.unsafe(text, ['{pg_class}'], { prepare: true })

    const plans = await sql`
      select generic_plans::int as once, custom_plans::int as anew from pg_prepared_statements where statement = ${text}`

    t.same(plans, [{ once: 8, anew: 0 }])
  })

  t.test('look-ups do not wait for what Better Auth is doing (R69)', async t => {
    const [lookups, writes] = [createLookupPool(server.url, 1), createAuthPool(server.url)]
    t.teardown(() => Promise.all([lookups.end({ timeout: 0 }), writes.end({ timeout: 0 })]))
    const slow = Array.from({ length: 20 }, () => writes`select pg_sleep(3)`.catch(() => null))

    t.same(await lookups`select 1 as n`, [{ n: 1 }])

    await writes.end({ timeout: 0 })
    await Promise.all(slow)
  })

  t.test('says who it is to whoever looks at the server', async t => {
    const sql = createDirectClient(server.url)
    t.teardown(() => sql.end({ timeout: 1 }))

    t.same(await sql`select application_name as name from pg_stat_activity where pid = pg_backend_pid()`, [
      { name: 'session-gateway direct' }
    ])
  })

  t.test('is back as soon as a restarted server is (R65)', async t => {
    const sql = createLookupPool(server.url, 2)
    t.teardown(() => sql.end({ timeout: 1 }))
    await sql`select 1`
    await server.stop()
    for (let n = 0; n < 5; n++) await t.rejects(sql`select 1`)
    await server.restart()
    const begun = performance.now()

    await sql`select 1`

    t.ok(performance.now() - begun < 1500)
  })

  t.test('the start waits for a server that is not up yet (R65)', async t => {
    const sql = createDirectClient(server.url)
    t.teardown(() => sql.end({ timeout: 1 }))
    await server.stop()
    const waits: number[] = []

    await waitForPostgres(sql, waitMs => {
      waits.push(waitMs)
      if (waits.length === 1) void server.restart()
    })

    t.equal(waits[0], 1000)
  })

  t.test('the start does not wait for a wrong password to become right', async t => {
    const sql = createDirectClient(server.url.replace(/:[^:@]+@/, ':wrong@'))
    t.teardown(() => sql.end({ timeout: 1 }))

    await t.rejects(
      waitForPostgres(sql, () => t.fail('waits')),
      { code: '28P01' }
    )
  })
})
