import t from 'tap'
import postgres from 'postgres'
import { startPostgres } from '../../support/postgres.js'

t.test('the database of a test answers, survives kill -9 and restart, and hangs when it is paused', async t => {
  const server = await startPostgres(t)
  const sql = postgres(server.url, { max: 2, onnotice: () => {} })
  t.teardown(() => sql.end({ timeout: 1 }))
  await sql`create table kept (n int)`
  await sql`insert into kept values (1)`

  await server.kill9()
  await t.rejects(sql`select 1`)
  await server.restart()
  t.same(await sql`select n from kept`, [{ n: 1 }])

  await server.pause()
  const pending = sql`select 2 as n`.execute()
  const silent = Symbol('silent')
  const early = await Promise.race([pending, new Promise(resolve => setTimeout(() => resolve(silent), 200))])
  t.equal(early, silent)
  await server.resume()
  t.same(await pending, [{ n: 2 }])

  await server.stop()
  await t.rejects(sql`select 1`)
})
