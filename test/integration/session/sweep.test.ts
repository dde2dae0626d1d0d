/** What has expired is cleared away in the background, and nobody who is signed in notices (R32). */
import postgres from 'postgres'
import t from 'tap'
import { grantsSql } from '../../../schema/grants-sql.js'
import type { AuthShape } from '../../../src/data/auth-shape.js'
import { GuardedSql } from '../../../src/data/guarded-sql.js'
import { migrate } from '../../../src/data/migrate.js'
import { createLookupPool } from '../../../src/data/postgres.js'
import { Sweeper } from '../../../src/session/sweep.js'
import { eventually } from '../../support/eventually.js'
import { inSeconds, insert, SHAPES, startShapes, tableName } from '../../support/shapes.js'
import { startSessionStack } from '../../support/session-stack.js'

type Scope = { teardown: (fn: () => unknown) => unknown }

interface TestSweeper {
  readonly sweeper: Sweeper
  readonly swept: Readonly<Record<string, number>>[]
  readonly failures: unknown[]
  /** How many rows each statement deleted. */
  readonly batches: number[]
}

function aSweeper(t: Scope, url: string, shape: AuthShape): TestSweeper {
  const [swept, failures, batches]: [Readonly<Record<string, number>>[], unknown[], number[]] = [[], [], []]
  const sql = new GuardedSql(() => {
    const pool = createLookupPool(url, 1)
    const unsafe = pool.unsafe.bind(pool)
    return Object.assign(pool, {
      unsafe: (...args: Parameters<typeof unsafe>) => {
        const answer = unsafe(...args)
        void answer.then(
          ({ count }) => batches.push(count),
          () => {}
        )
        return answer
      }
    })
  })
  const sweeper = new Sweeper({
    sql,
    shape,
    onSwept: rows => swept.push(rows),
    onFailed: error => failures.push(error)
  })
  t.teardown(async () => {
    await sweeper.stop()
    await sql.close()
  })
  return { sweeper, swept, failures, batches }
}

t.test('25,000 expired sessions go in batches; nobody is told, and the caches stay as they are', async t => {
  const stack = await startSessionStack(t)
  const { sql, shape, postgres: server } = stack
  const gateway = await stack.aGateway(t, { polling: false })
  const live = await stack.addSession()
  const { token } = live
  await sql`insert into session (id, token, user_id, expires_at)
            select 'old-' || n, 'old-' || n, ${live.userId}, now() - interval '1 day' from generate_series(1, 25000) n`
  await sql`insert into verification (id, identifier, value, expires_at)
            select n::text, n::text, '', now() - interval '1 day' from generate_series(1, 1500) n`
  const justExpired = await stack.addSession({ seconds: -60 })
  await gateway.resolver.resolve(token, false)
  const sourceNow = async () => (await gateway.resolver.resolve(token, false)).source
  await eventually(async () => (await sourceNow()) === 'redis', 'Redis answers for it')
  const { sweeper, swept, failures, batches } = aSweeper(t, server.url, shape)

  await sweeper.sweep()
  await gateway.feed.settle()

  t.same(failures, [])
  t.same(swept, [{ session: 25_000, verification: 1500 }])
  t.ok(batches.length >= 27 && Math.max(...batches) <= 1000, `${batches.length} statements`)
  const left = await sql`select token from session order by token`
  t.same(new Set(left.map(row => row['token'])), new Set([token, justExpired.token]))
  t.same(await sql`select * from gateway_outbox`, [], 'not a row for the other nodes to read')
  t.same(gateway.events, [])
  t.equal(await sourceNow(), 'redis')
})

t.test('the columns and clocks of every shape', async t => {
  const shapes = await startShapes(t)
  for (const { name } of SHAPES) {
    const { sql, url } = await shapes.open(t, name)
    const shape = await migrate(sql, { schema: null, mode: 'hosted' }, () => {})
    const userId = await insert(sql, shape, 'user', {})
    const add = (token: string, seconds: number) =>
      insert(sql, shape, 'session', { token, userId, expiresAt: inSeconds(seconds) })
    const verification = (identifier: string, seconds: number) =>
      insert(sql, shape, 'verification', { identifier, value: '', expiresAt: inSeconds(seconds) })
    for (const [word, seconds] of [['old', -3700] as const, ['young', -3500] as const, ['live', 60] as const]) {
      await add(word, seconds)
      await verification(word, seconds)
    }

    for (const zone of ['America/New_York', 'Asia/Tokyo']) {
      const { sweeper, failures } = aSweeper(t, `${url}?TimeZone=${zone}`, shape)
      await sweeper.sweep()
      t.same(failures, [], name)
    }

    const tokens = await sql.unsafe(`select token from ${tableName(shape, 'session')} order by 1`)
    t.same(tokens, [{ token: 'live' }, { token: 'young' }], name)
    const words = await sql.unsafe(`select identifier from ${tableName(shape, 'verification')} order by 1`)
    t.same(words, [{ identifier: 'live' }, { identifier: 'young' }], name)
  }
})

t.test('on one database', async t => {
  const shapes = await startShapes(t)
  const { sql, url } = await shapes.open(t, 'ours')
  const shape = await migrate(sql, { schema: null, mode: 'hosted' }, () => {})
  const userId = await insert(sql, shape, 'user', {})
  const addExpired = (count: number) => sql`
    insert into auth.session (id, token, user_id, expires_at)
    select gen_random_uuid(), gen_random_uuid(), ${userId}, now() - interval '1 day' from generate_series(1, ${count})`
  const count = async () => (await sql`select 1 from auth.session`).length

  t.test('while one process is at it, the others leave it alone', async t => {
    await addExpired(10)
    const other = await sql.reserve()
    await other`begin`
    await other`select pg_advisory_xact_lock(7364900212)`
    const { sweeper, swept, failures } = aSweeper(t, url, shape)

    await sweeper.sweep()
    t.equal(await count(), 10)
    t.same([swept, failures], [[], []])

    await other`rollback`
    other.release()
    await sweeper.sweep()
    t.equal(await count(), 0)
  })

  t.test('a row that somebody works on is left for the next round', async t => {
    await addExpired(3)
    const other = await sql.reserve()
    await other`begin`
    await other`update auth.session set user_agent = 'x' where id = (select min(id) from auth.session)`
    const { sweeper, failures } = aSweeper(t, url, shape)

    await sweeper.sweep()
    t.equal(await count(), 1)
    t.same(failures, [])

    await other`rollback`
    other.release()
    await sweeper.sweep()
    t.equal(await count(), 0)
  })

  t.test('told to stop, it ends with the statement under way', async t => {
    await addExpired(5000)
    const { sweeper, batches } = aSweeper(t, url, shape)

    const round = sweeper.sweep()
    await eventually(() => batches.length > 0, 'the first batch is gone')
    await sweeper.stop()
    await round

    t.ok((await count()) > 0)
    await sql`delete from auth.session`
  })

  t.test('a failure is reported, and the next round goes on', async t => {
    const { sweeper, swept, failures } = aSweeper(t, url, shape)
    await sql`alter table auth.verification rename to elsewhere`
    await addExpired(2)

    await sweeper.sweep()
    t.equal(failures.length, 1)
    t.same(swept, [{ session: 2 }], 'what was done is said')

    await sql`alter table auth.elsewhere rename to verification`
    await sweeper.sweep()
    t.equal(failures.length, 1)
  })

  t.test('a role with the rights we ask for may do it, and one that may only read changes nothing (R75)', async t => {
    const operator = postgres(shapes.server.superUrl, { max: 1, onnotice: () => {} })
    t.teardown(() => operator.end({ timeout: 1 }))
    await addExpired(2)
    for (const mode of ['attached', 'hosted'] as const) {
      await operator.unsafe(`create role sweeper_${mode} login password 'least'`)
      await sql.unsafe(grantsSql(shape, mode, `sweeper_${mode}`))
      const { host, pathname } = new URL(url)
      const { sweeper, failures } = aSweeper(t, `postgres://sweeper_${mode}:least@${host}${pathname}`, shape)

      await sweeper.sweep()

      t.equal(failures.length, mode === 'hosted' ? 0 : 1, mode)
      t.equal(await count(), mode === 'hosted' ? 0 : 2, mode)
    }
  })
})
