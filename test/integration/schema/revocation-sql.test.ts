import postgres, { type Sql } from 'postgres'
import t from 'tap'
import { outboxSql } from '../../../schema/outbox-sql.js'
import { REVOCATION_CHANNEL } from '../../../schema/revocation-functions.js'
import { revocationInstalled, revocationSql } from '../../../schema/revocation-sql.js'
import type { AuthShape } from '../../../src/data/auth-shape.js'
import { migrate } from '../../../src/data/migrate.js'
import { hashToken } from '../../../src/session/session.js'
import { eventually } from '../../support/eventually.js'
import { columnName, inSeconds, insert, SHAPES, startShapes, tableName, update } from '../../support/shapes.js'

const HOSTED = { schema: null, mode: 'hosted' } as const

t.test('the triggers of revocation', async t => {
  const shapes = await startShapes(t)

  for (const { name, organizations } of SHAPES) {
    t.test(name, async t => {
      const { sql } = await shapes.open(t, name)
      const shape = await migrate(sql, HOSTED, () => {})
      const userId = await insert(sql, shape, 'user', {})
      const session = (token: string) => insert(sql, shape, 'session', { token, userId })
      const { poll } = outboxSql(shape)

      /** What a change writes to the outbox, as `s <token hash>` and `u <user id>`. */
      async function eventsOf(change: () => Promise<unknown>): Promise<string[]> {
        const [before] = await sql.unsafe(poll, [null as unknown as string, ''])
        await change()
        const rows = await sql.unsafe(poll, [before?.next_cursor, ''])
        return rows.filter(({ xid }) => xid !== null).map(({ kind, key }) => `${kind} ${key}`)
      }
      const changes = (model: 'user' | 'session' | 'member', id: string, row: Parameters<typeof update>[4]) => () =>
        update(sql, shape, model, id, row)
      const u = `u ${userId}`

      t.test('fire when a session ends or changes hands (D12)', async t => {
        const ids = { ended: await session('ended'), moved: await session('moved'), cut: await session('cut') }
        const other = await insert(sql, shape, 'user', {})
        const given = await session('given')

        t.same(
          await eventsOf(() =>
            sql.unsafe(`delete from ${tableName(shape, 'session')} where id::text = $1`, [ids.ended])
          ),
          [s('ended')]
        )
        t.same(await eventsOf(changes('session', ids.moved, { token: 'moved-2' })), [s('moved')])
        t.same(await eventsOf(changes('session', ids.cut, { expiresAt: inSeconds(5) })), [s('cut')])
        t.same(await eventsOf(changes('session', given, { userId: other })), [s('given')])
      })

      t.test('do not fire for a new session, a refresh or a note on it', async t => {
        t.same(await eventsOf(() => session('fresh')), [])
        const id = await session('kept')
        t.same(await eventsOf(changes('session', id, { expiresAt: inSeconds(7200), updatedAt: new Date() })), [])
        t.same(await eventsOf(changes('session', id, { userAgent: 'another', ipAddress: '::1' })), [])
        t.same(await eventsOf(changes('user', userId, { image: 'a.png', updatedAt: new Date() })), [])
      })

      t.test('fire for what upstreams learn of a user and for bans (D08, D13)', async t => {
        t.same(await eventsOf(changes('user', userId, { role: 'admin' })), [u])
        t.same(await eventsOf(changes('user', userId, { role: null })), [u])
        t.same(await eventsOf(changes('user', userId, { banned: true })), [u])
        t.same(await eventsOf(changes('user', userId, { banExpires: inSeconds(60) })), [u])
        t.same(await eventsOf(changes('user', userId, { email: 'other@example.com' })), [u])
        t.same(await eventsOf(changes('user', userId, { emailVerified: false })), [u])
        t.same(await eventsOf(changes('user', userId, { name: 'Lovelace' })), [u])
        t.same(await eventsOf(changes('user', userId, { name: 'Lovelace' })), [], 'nothing changed')
      })

      t.test('fire for every row of a cascade (D10)', async t => {
        const gone = await insert(sql, shape, 'user', {})
        for (const token of ['one', 'two']) await insert(sql, shape, 'session', { token, userId: gone })

        const events = await eventsOf(() =>
          sql.unsafe(`delete from ${tableName(shape, 'user')} where id::text = $1`, [gone])
        )

        t.same(new Set(events), new Set([s('one'), s('two'), `u ${gone}`]))
      })

      if (organizations) {
        t.test('fire for members, and for another active organisation', async t => {
          const organizationId = await insert(sql, shape, 'organization', {})
          const id = await session('active')
          let member = ''

          const joins = async () => {
            member = await insert(sql, shape, 'member', { organizationId, userId })
          }
          t.same(await eventsOf(joins), [u])
          t.same(await eventsOf(changes('session', id, { activeOrganizationId: organizationId })), [s('active')])
          t.same(await eventsOf(changes('member', member, { role: 'admin' })), [u])
          const other = await insert(sql, shape, 'user', {})
          t.same(new Set(await eventsOf(changes('member', member, { userId: other }))), new Set([u, `u ${other}`]))
          t.same(await eventsOf(() => sql.unsafe(`delete from ${tableName(shape, 'organization')}`)), [`u ${other}`])
        })
      }

      t.test('a rolled back change leaves nothing', async t => {
        const id = await session('stays')
        const change = () =>
          sql
            .begin(async tx => {
              await tx.unsafe(`delete from ${tableName(shape, 'session')} where id::text = $1`, [id])
              throw new Error('changed my mind')
            })
            .catch(() => {})

        t.same(await eventsOf(change), [])
      })

      t.test('TRUNCATE opens a new epoch', async t => {
        const before = await epochOf(sql, shape)
        await sql.unsafe(`truncate ${tableName(shape, 'session')}`)
        const between = await epochOf(sql, shape)
        await sql.unsafe(`truncate ${tableName(shape, 'user')} cascade`)

        t.ok(BigInt(between) > BigInt(before))
        t.ok(BigInt(await epochOf(sql, shape)) > BigInt(between))
      })

      t.test('no token is ever in the outbox', async t => {
        const rows = await sql.unsafe(`select * from "${shape.schema}".gateway_outbox where key like '%moved%'`)
        t.same(rows, [])
      })
    })
  }

  t.test('a poll misses no transaction that commits late (D15)', async t => {
    const { sql } = await shapes.open(t, 'ours')
    const shape = await migrate(sql, HOSTED, () => {})
    const { poll } = outboxSql(shape)
    const userId = await insert(sql, shape, 'user', {})
    for (const token of ['slow', 'quick']) await insert(sql, shape, 'session', { token, userId })
    const [start] = await sql.unsafe(poll, ['1:1:', ''])

    let cursor = start?.next_cursor as string
    await sql.begin(async tx => {
      await tx.unsafe(`delete from auth.session where token = 'slow'`)
      await sql`delete from auth.session where token = 'quick'`
      const rows = await sql.unsafe(poll, [cursor, ''])
      t.same(
        rows.map(({ key }) => key),
        [hashToken('quick')],
        'the open transaction is not seen yet'
      )
      cursor = rows[0]?.next_cursor
    })
    const rows = await sql.unsafe(poll, [cursor, ''])

    t.ok(rows.some(({ key }) => key === hashToken('slow')))
  })

  t.test('rows are collected when they are old and behind the cursor, and not before', async t => {
    const { sql } = await shapes.open(t, 'ours')
    const shape = await migrate(sql, HOSTED, () => {})
    const { poll, collect } = outboxSql(shape)
    const userId = await insert(sql, shape, 'user', {})
    const kept = async () => (await sql`select key from auth.gateway_outbox`).length
    await insert(sql, shape, 'session', { token: 'it', userId })
    await sql`delete from auth.session`
    const [row] = await sql.unsafe(poll, ['1:1:', ''])

    await sql.unsafe(collect, [row?.next_cursor])
    t.equal(await kept(), 1, 'not old')
    await sql`update auth.gateway_outbox set at = now() - interval '2 hours'`
    await sql.unsafe(collect, ['1:1:'])
    t.equal(await kept(), 1, 'not behind the cursor')
    await sql.unsafe(collect, [row?.next_cursor])
    t.equal(await kept(), 0)
  })

  t.test('a listener is woken once per transaction, without being told anything', async t => {
    const { sql, url } = await shapes.open(t, 'ours')
    const shape = await migrate(sql, HOSTED, () => {})
    const userId = await insert(sql, shape, 'user', {})
    for (const token of ['one', 'two', 'three']) await insert(sql, shape, 'session', { token, userId })
    const listener = postgres(url, { max: 1, onnotice: () => {} })
    t.teardown(() => listener.end({ timeout: 1 }))
    const heard: string[] = []
    await listener.listen(REVOCATION_CHANNEL, payload => heard.push(payload))

    await sql`delete from auth.session`
    await sql`notify ${sql(REVOCATION_CHANNEL)}, 'the end'`
    await eventually(() => heard.includes('the end'), 'the last notification')

    t.same(heard, ['', 'the end'])
  })

  t.test("another application's role that may delete a session needs no right on the outbox", async t => {
    const { sql } = await shapes.open(t, 'ours')
    const shape = await migrate(sql, HOSTED, () => {})
    const userId = await insert(sql, shape, 'user', {})
    await insert(sql, shape, 'session', { token: 'it', userId })
    const operator = postgres(shapes.server.superUrl.replace(/\/gateway$/, `/${sql.options.database}`), {
      max: 1,
      onnotice: () => {}
    })
    t.teardown(() => operator.end({ timeout: 1 }))
    await operator.unsafe(
      'create role intruder; grant usage on schema auth to intruder; grant select, delete on auth.session to intruder; ' +
        'create schema trap authorization intruder; grant usage on schema trap to public'
    )
    t.teardown(() => operator.unsafe('drop owned by intruder; drop role intruder'))

    await operator.begin(async tx => {
      await tx`set local role intruder`
      // A function of its own in front of ours must not be run with the owner's rights.
      await tx`set local search_path = trap, auth, pg_catalog`
      await tx.unsafe(
        'create function trap.pg_notify(text, text) returns void language plpgsql as $$ begin raise exception $e$ hijacked $e$; end $$'
      )
      await tx`delete from auth.session where token = 'it'`
    })

    const [row] = await sql`select key from auth.gateway_outbox`
    t.equal(row?.key, hashToken('it'))
    await t.rejects(
      operator.begin(async tx => {
        await tx`set local role intruder`
        await tx`select key from auth.gateway_outbox`
      }),
      { code: '42501' }
    )
  })

  t.test('are known to be in force only when each of them is there and fires', async t => {
    const { sql } = await shapes.open(t, 'kysely-text')
    const shape = await migrate(sql, HOSTED, () => {})
    t.equal(await revocationInstalled(sql, shape), true)

    for (const harm of [
      'alter table session disable trigger gateway_session_deleted',
      'drop trigger gateway_user_updated on "user"',
      'drop trigger gateway_member_changed on member',
      `create or replace function gateway_session_changed() returns trigger language plpgsql security definer
         set search_path = pg_catalog, pg_temp as 'begin return null; end'`,
      'alter function gateway_user_changed() security invoker',
      'alter function gateway_user_changed() reset search_path',
      `create or replace trigger gateway_user_updated after update on "user" for each row when (false)
         execute function gateway_user_changed(); alter table "user" enable always trigger gateway_user_updated`,
      `create or replace trigger gateway_user_updated after update of role on "user" for each row
         execute function gateway_user_changed(); alter table "user" enable always trigger gateway_user_updated`,
      `create or replace trigger gateway_session_deleted after delete on session for each row
         execute function gateway_sessions_cleared(); alter table session enable always trigger gateway_session_deleted`,
      `comment on table gateway_outbox is 'session-gateway revocation of another version'`,
      `create function swallow() returns trigger language plpgsql as 'begin return null; end';
       create trigger aaa before insert on gateway_outbox for each row execute function swallow()`,
      'create rule nothing as on insert to gateway_outbox do instead nothing',
      'alter table gateway_epoch enable row level security',
      'delete from gateway_epoch',
      'drop table gateway_outbox'
    ]) {
      await sql.unsafe(harm)
      t.equal(await revocationInstalled(sql, shape), false, harm)
      const before = harm.startsWith('drop table') ? '0' : await epochOf(sql, shape)

      await migrate(sql, HOSTED, () => {})

      t.equal(await revocationInstalled(sql, shape), true, `${harm}: mended`)
      t.ok(BigInt(await epochOf(sql, shape)) > BigInt(before), 'what happened meanwhile is unknown: a new epoch')
    }
  })

  t.test('fire for what logical replication applies', async t => {
    const { sql } = await shapes.open(t, 'ours')
    const shape = await migrate(sql, HOSTED, () => {})
    const userId = await insert(sql, shape, 'user', {})
    await insert(sql, shape, 'session', { token: 'it', userId })
    const operator = postgres(shapes.server.superUrl.replace(/\/gateway$/, `/${sql.options.database}`), {
      max: 1,
      onnotice: () => {}
    })
    t.teardown(() => operator.end({ timeout: 1 }))

    await operator.begin(async tx => {
      await tx`set local session_replication_role = replica`
      await tx`delete from auth.session`
    })

    t.equal((await sql`select 1 from auth.gateway_outbox`).length, 1)
  })

  t.test('names with quotes in them stay names', async t => {
    const { sql } = await shapes.open(t, 'kysely-text')
    await sql.unsafe(`create schema "it's ""odd"""; alter table session set schema "it's ""odd"""`)
    await sql.unsafe(
      `alter table "user" set schema "it's ""odd"""; alter table "it's ""odd""".session rename to "a ""session"""`
    )
    const shape = await migrate(sql, { ...HOSTED, mode: 'attached' }, () => {})
    const userId = await insert(sql, shape, 'user', {})
    await insert(sql, shape, 'session', { token: 'it', userId })

    await sql.unsafe(`delete from ${tableName(shape, 'session')} where ${columnName(shape, 'session', 'token')} = 'it'`)

    const rows = await sql.unsafe(outboxSql(shape).poll, ['1:1:', ''])
    t.same(
      rows.map(({ key }) => key),
      [hashToken('it')]
    )
    t.match(revocationSql(shape), /it's ""odd""/)
  })
})

async function epochOf(sql: Sql, shape: AuthShape): Promise<string> {
  const [row] = await sql.unsafe(outboxSql(shape).poll, [null as unknown as string, ''])
  return row?.epoch
}

/** As the outbox tells that this token's session changed. */
function s(token: string): string {
  return `s ${hashToken(token)}`
}
