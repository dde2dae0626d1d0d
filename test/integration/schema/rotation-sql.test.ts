/** The tables, triggers and statements of token rotation (R42), on every shape of database. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { rotationSql } from '../../../schema/rotation-sql.js'
import { migrate } from '../../../src/data/migrate.js'
import { createSessionQuery, tokensParameter } from '../../../src/session/session-query.js'
import { storedSessions } from '../../support/sessions.js'
import { inSeconds, insert, SHAPES, shapeOf, startShapes, tableName, update } from '../../support/shapes.js'

t.test('a change of role, and what becomes of the token', async t => {
  const shapes = await startShapes(t)

  for (const { name } of SHAPES) {
    t.test(name, async t => {
      const { sql } = await shapes.open(t, name)
      await migrate(sql, { schema: null, mode: 'hosted' }, () => {})
      const shape = await shapeOf(sql)
      const { rotate, current, successor } = rotationSql(shape)
      const { single, batch, replaced, remove } = createSessionQuery(shape, { rotation: rotationSql(shape) })
      const own = (table: string) => `"${shape.schema}"."${table}"`
      const userId = await insert(sql, shape, 'user', { role: 'user' })
      const other = await insert(sql, shape, 'user', { role: 'user' })
      for (const [token, owner, seconds] of [
        ['one', userId, 60],
        ['two', userId, 60],
        ['over', userId, -60],
        ['else', other, 60]
      ] as const) {
        await insert(sql, shape, 'session', { token, userId: owner, expiresAt: inSeconds(seconds) })
      }
      const found = (text: string, token: string) =>
        storedSessions(sql, text, text === single ? token : tokensParameter([token]))
      const tokenBy = async (text: string, token: string) => (await sql.unsafe(text, [token])).map(row => row['token'])

      await update(sql, shape, 'user', userId, { name: 'Another' })
      t.match(await found(single, 'one'), [{ rotation: null }], 'a name is no role')
      await update(sql, shape, 'user', userId, { role: 'admin' })
      t.match(await found(single, 'one'), [{ rotation: 'due' }])
      t.match(await found(batch, 'two'), [{ rotation: 'due' }])
      t.match(await found(single, 'else'), [{ rotation: null }])
      t.equal((await sql.unsafe(`select from ${own('gateway_rotation_due')}`)).length, 2, 'the living ones')

      const tries = await Promise.all(['a', 'b', 'c'].map(fresh => sql.unsafe(rotate, ['one', `new-${fresh}`])))
      t.same(tries.map(({ count }) => count).toSorted(), [0, 0, 1], 'of three one wins')
      t.equal((await sql.unsafe(rotate, ['else', 'stolen'])).count, 0, 'nobody who is not due')
      const [fresh = ''] = (await tokenBy(current, 'one')) as string[]
      t.match(fresh, /^new-/)
      t.match(await found(single, fresh), [{ rotation: null, session: { roles: ['admin'] } }])
      t.same(await found(single, 'one'), [])
      t.match(await found(replaced ?? '', 'one'), [
        { token: 'one', rotation: { token: fresh }, session: { roles: ['admin'] } }
      ])

      await sql.unsafe(`update ${own('gateway_old_token')} set grace_until = now()`)
      t.same(await found(replaced ?? '', 'one'), [], 'the grace is over')
      t.same(await tokenBy(current, 'one'), [])
      t.same(await tokenBy(successor, 'one'), [fresh], 'but it is known whose it was')
      t.equal((await sql.unsafe(remove, ['one'])).count, 1, 'and ends it')
      t.same(await found(single, fresh), [])

      await sql.unsafe(`delete from ${tableName(shape, 'session')}`)
      for (const table of ['gateway_rotation_due', 'gateway_old_token']) {
        t.equal((await sql.unsafe(`select from ${own(table)}`)).length, 0, `${table}: gone with its session`)
      }
    })
  }
})

t.test('between two requests', async t => {
  const shapes = await startShapes(t)
  const { sql } = await shapes.open(t, 'ours')
  const shape = await shapeOf(sql)
  const { rotate } = rotationSql(shape)
  const userId = await insert(sql, shape, 'user', { role: 'user' })
  const aDueSession = async (token: string) => {
    const id = await insert(sql, shape, 'session', { token, userId, expiresAt: inSeconds(60) })
    await sql`insert into auth.gateway_rotation_due values (${id})`
  }

  t.test('a rotation and a sign-out do not wait for each other in a circle', async t => {
    await aDueSession('both')
    await sql.unsafe(`create function public.dawdle() returns trigger language plpgsql as
        $$begin perform pg_sleep(0.2); return old; end$$;
      create trigger dawdle before delete on auth.session for each row execute function public.dawdle()`)
    const signOut = sql`delete from auth.session where token = 'both'`.execute()
    await sleep(50)
    const rotation = sql.unsafe(rotate, ['both', 'too late']).execute()
    t.equal((await signOut).count, 1)
    t.equal((await rotation).count, 0)
    t.equal((await sql`select from auth.gateway_old_token where hash is not null`).length, 0)
    await sql`drop trigger dawdle on auth.session`
  })

  t.test('a second change of role, while the first is being answered, is not forgotten', async t => {
    await aDueSession('again')
    const { rotation, meanwhile } = await sql.begin(async change => {
      await change`update auth."user" set role = 'second' where id = ${userId}`
      const rotation = sql.unsafe(rotate, ['again', 'later']).execute()
      await sleep(50)
      return { rotation: [rotation], meanwhile: await change`select from auth.session where token = 'later'` }
    })
    t.equal(meanwhile.length, 0, 'a token given before it would not be one given after it')
    t.equal((await rotation[0])?.count, 1)
  })

  t.test('TRUNCATE leaves nothing behind', async t => {
    await sql`truncate auth.session`
    t.equal((await sql`select from auth.gateway_rotation_due`).length, 0)
    t.equal((await sql`select from auth.gateway_old_token`).length, 0)
  })
})
