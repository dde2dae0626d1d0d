/** What the triggers write: why something changed, and nothing about sessions that had expired anyway. */
import postgres, { type Sql } from 'postgres'
import t from 'tap'
import { causeMark } from '../../../schema/cause-sql.js'
import { outboxTable } from '../../../schema/outbox-tables.js'
import { revocationInstalled } from '../../../schema/revocation-sql.js'
import type { AuthShape } from '../../../src/data/auth-shape.js'
import { migrate } from '../../../src/data/migrate.js'
import { columnName, inSeconds, insert, SHAPES, startShapes, tableName, update } from '../../support/shapes.js'

const HOSTED = { schema: null, mode: 'hosted' } as const
const ZONES = ['UTC', 'America/New_York', 'Asia/Tokyo']

/** The causes that a change writes to the outbox, in order. */
async function causesOf(sql: Sql, shape: AuthShape, change: () => Promise<unknown>): Promise<string[]> {
  const outbox = outboxTable(shape)
  const [last] = await sql.unsafe<[{ id: string }]>(`select coalesce(max(id), 0)::text as id from ${outbox}`)
  await change()
  const rows = await sql.unsafe<{ cause: string }[]>(`select cause from ${outbox} where id > $1 order by id`, [last.id])
  return rows.map(({ cause }) => cause)
}

t.test('rows of the outbox', async t => {
  const shapes = await startShapes(t)

  for (const { name, organizations } of SHAPES) {
    t.test(name, async t => {
      const { sql, url } = await shapes.open(t, name)
      const shape = await migrate(sql, HOSTED, () => {})
      const userId = await insert(sql, shape, 'user', {})
      const session = (seconds = 3600) => insert(sql, shape, 'session', { userId, expiresAt: inSeconds(seconds) })
      const sessions = tableName(shape, 'session')
      const expiresAt = columnName(shape, 'session', 'expiresAt')
      const causes = (change: () => Promise<unknown>) => causesOf(sql, shape, change)
      const changed = (model: 'user' | 'session' | 'member', id: string, row: Parameters<typeof update>[4]) =>
        causes(() => update(sql, shape, model, id, row))

      t.test('say why, as far as the change tells', async t => {
        const id = await session()
        t.same(await changed('session', id, { token: `${id}-2` }), ['renewal'])
        t.same(await changed('session', id, { expiresAt: inSeconds(60) }), ['expiry'])
        t.same(await causes(() => sql.unsafe(`delete from ${sessions}`)), ['deleted'])
        t.same(await changed('user', userId, { role: 'admin' }), ['role_change'])
        t.same(await changed('user', userId, { role: 'user', banned: true }), ['ban'])
        t.same(await changed('user', userId, { banExpires: inSeconds(60) }), ['ban'])
        t.same(await changed('user', userId, { banned: false, banExpires: null }), ['unban'])
        t.same(await changed('user', userId, { email: 'ada@example.com' }), ['user_update'])
        const gone = await insert(sql, shape, 'user', {})
        const leaves = () => sql.unsafe(`delete from ${tableName(shape, 'user')} where id::text = $1`, [gone])
        t.same(await causes(leaves), ['user_delete'])
        if (!organizations) return
        const organizationId = await insert(sql, shape, 'organization', {})
        t.same(await causes(() => insert(sql, shape, 'member', { organizationId, userId })), ['organization'])
        t.same(await changed('session', await session(), { activeOrganizationId: organizationId }), ['session_update'])
      })

      t.test("say what a gateway's statement says of itself, and nobody else's", async t => {
        const ours = postgres(url, { max: 1, connection: { application_name: 'session-gateway auth' } })
        t.teardown(() => ours.end({ timeout: 1 }))
        for (const [client, mark, cause] of [
          [ours, causeMark('sign_out'), 'sign_out'],
          [ours, '', 'deleted'],
          [ours, ` /* cause it's ours */`, 'deleted'],
          [sql, causeMark('sign_out'), 'deleted']
        ] as const) {
          const id = await session()
          const ends = () => client.unsafe(`delete from ${sessions} where id::text = $1${mark}`, [id])
          t.same(await causes(ends), [cause])
        }
      })

      t.test('there are none for sessions that had expired, in every TimeZone', async t => {
        await sql.unsafe(`delete from ${sessions}`)
        for (const zone of ZONES) {
          const client = postgres(url, { max: 1, connection: { TimeZone: zone }, onnotice: () => {} })
          t.teardown(() => client.end({ timeout: 1 }))
          const cleared = () => client.unsafe(`delete from ${sessions}`)

          for (const seconds of [-1, -60, -86_400]) await session(seconds)
          t.same(await causes(cleared), [], `${zone}: expired`)
          for (const seconds of [30, 86_400]) await session(seconds)
          t.same(await causes(cleared), ['deleted', 'deleted'], `${zone}: live`)
        }
      })

      t.test('a session that is ended and then cleared away, even at once, is told when it ends', async t => {
        const id = await session()
        const endAndClear = () =>
          sql.begin(async tx => {
            await tx.unsafe(`update ${sessions} set ${expiresAt} = ${expiresAt} - interval '2 hours'`)
            await tx.unsafe(`delete from ${sessions} where id::text = $1`, [id])
          })

        t.same(await causes(endAndClear), ['expiry'])
      })
    })
  }

  t.test('an older installation gets the column, keeps its rows and is noticed (R77)', async t => {
    const { sql } = await shapes.open(t, 'ours')
    const shape = await migrate(sql, HOSTED, () => {})
    await sql`alter table auth.gateway_outbox drop column cause`
    await sql`comment on table auth.gateway_outbox is 'session-gateway revocation of the version before'`
    await sql`insert into auth.gateway_outbox (kind, key) values ('u', 'from before')`
    t.equal(await revocationInstalled(sql, shape), false)

    await migrate(sql, HOSTED, () => {})

    t.equal(await revocationInstalled(sql, shape), true)
    t.match(await sql`select key, cause from auth.gateway_outbox`, [{ key: 'from before', cause: null }])
    await insert(sql, shape, 'session', { userId: await insert(sql, shape, 'user', {}) })
    t.same(await causesOf(sql, shape, () => sql`delete from auth.session`), ['deleted'])
  })
})
