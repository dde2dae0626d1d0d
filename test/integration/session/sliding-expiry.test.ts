/** The one statement that extends a session, on every shape of database. */
import postgres from 'postgres'
import t from 'tap'
import { extendSql, isDue, slidingExpiry, staysShort } from '../../../src/session/sliding-expiry.js'
import { inSeconds, insert, SHAPES, shapeOf, startShapes, tableName, update } from '../../support/shapes.js'

const DAY = 86_400
const WEEK = 7 * DAY
const EXPIRY = slidingExpiry(WEEK, DAY)

/** [what, seconds since it was made, seconds left, whether use extends it] */
const CASES = [
  ['a day old', DAY + 5, WEEK - DAY - 5, true],
  ['not a day old', DAY - 5, WEEK - DAY + 5, false],
  ['extended before, due again', 20 * DAY, 5 * DAY, true],
  ['made with a shorter life than today’s', 2 * DAY, DAY, true],
  ['made without "remember me"', 3600, DAY - 3600, false],
  ['over', 8 * DAY, -1, false]
] as const

t.test('of many at once one extends a session, and only what is due and long', async t => {
  const shapes = await startShapes(t)

  for (const { name } of SHAPES) {
    t.test(name, async t => {
      const { sql, url } = await shapes.open(t, name)
      const shape = await shapeOf(sql)
      const text = extendSql(shape, EXPIRY)
      const userId = await insert(sql, shape, 'user', {})
      const clients = ['UTC', 'America/New_York', 'Asia/Tokyo'].map(zone =>
        postgres(url, { max: 3, connection: { TimeZone: zone }, onnotice: () => {} })
      )
      t.teardown(() => Promise.all(clients.map(client => client.end({ timeout: 1 }))))
      const extend = async (token: string) => {
        const answers = await Promise.all(clients.flatMap(client => [1, 2, 3].map(() => client.unsafe(text, [token]))))
        return answers.reduce((sum, { count }) => sum + count, 0)
      }

      for (const [what, age, left, extended] of CASES) {
        const row = { token: what, userId, createdAt: inSeconds(-age), expiresAt: inSeconds(left) }
        await insert(sql, shape, 'session', row)
        t.equal(await extend(what), extended ? 1 : 0, what)
        const { name: column } = shape.tables.session.columns['expiresAt'] as { name: string }
        const [{ end }] = (await sql.unsafe(
          `select extract(epoch from "${column}") * 1000 as end from ${tableName(shape, 'session')} where token = $1`,
          [what]
        )) as unknown as [{ end: string }]
        const expected = Date.now() + (extended ? WEEK : left) * 1000
        t.ok(Math.abs(Number(end) - expected) < 20_000, `${what}: its end`)
      }

      if (shape.tables.session.columns['impersonatedBy'] === undefined) return
      const times = { createdAt: inSeconds(-3 * DAY), expiresAt: inSeconds(DAY) }
      const id = await insert(sql, shape, 'session', { token: 'admin', userId, ...times })
      await update(sql, shape, 'session', id, { impersonatedBy: userId })
      t.equal(await extend('admin'), 0, 'an impersonation')
    })
  }
})

t.test('a row that somebody else is changing is left to him, without waiting', async t => {
  const shapes = await startShapes(t)
  const { sql } = await shapes.open(t, 'ours')
  const shape = await shapeOf(sql)
  const userId = await insert(sql, shape, 'user', {})
  const times = { createdAt: inSeconds(-3 * DAY), expiresAt: inSeconds(DAY) }
  await insert(sql, shape, 'session', { token: 'held', userId, ...times })

  await sql.begin(async holder => {
    await holder`select from auth.session for update`
    t.equal((await sql.unsafe(extendSql(shape, EXPIRY), ['held'])).count, 0)
  })
  t.equal((await sql.unsafe(extendSql(shape, EXPIRY), ['held'])).count, 1)
})

t.test('the same rule before the statement, so that it is sent for good reason only', async t => {
  const now = Date.now()
  for (const [what, age, left, extended] of CASES.slice(0, -1)) {
    const life = { createdAt: now - age * 1000, expiresAt: now + left * 1000, impersonated: false }
    t.equal(isDue(life, EXPIRY, now) && !staysShort(life, EXPIRY.expiresInMs), extended, what)
    t.ok(staysShort({ ...life, impersonated: true }, EXPIRY.expiresInMs))
  }
  t.match(slidingExpiry(WEEK, 0), { updateAgeMs: 60_000 }, 'a write a minute at most')
  t.match(slidingExpiry(10, 0), { updateAgeMs: 1000 })
  t.match(slidingExpiry(WEEK, DAY), { expiresInMs: WEEK * 1000, updateAgeMs: DAY * 1000 })
})
