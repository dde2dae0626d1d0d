import postgres, { type Sql } from 'postgres'
import t from 'tap'
import type { AuthModelName } from '../../../src/data/auth-models.js'
import type { AuthShape } from '../../../src/data/auth-shape.js'
import { inspectAuthShape } from '../../../src/data/inspect-auth.js'
import { createLookupPool } from '../../../src/data/postgres.js'
import { createSessionQuery, tokensParameter } from '../../../src/session/session-query.js'
import { type FoundSession, storedSessions } from '../../support/sessions.js'
import { columnName, inSeconds, insert, SHAPES, shapeOf, startShapes, tableName, update } from '../../support/shapes.js'

const ZONES = ['UTC', 'America/New_York', 'Asia/Tokyo']

t.test('the one query (R46)', async t => {
  const shapes = await startShapes(t)

  for (const { name, organizations } of SHAPES) {
    t.test(name, async t => {
      const { sql, url } = await shapes.open(t, name)
      const shape = await shapeOf(sql)

      t.test(
        'a live session is found, an expired one is not, a ban is told, in every TimeZone (D08, D16, R32)',
        async t => {
          const cases = await rowsOf(sql, shape)
          const { single, batch } = createSessionQuery(shape)

          for (const zone of ZONES) {
            const client = postgres(url, { max: 1, connection: { TimeZone: zone }, onnotice: () => {} })
            t.teardown(() => client.end({ timeout: 1 }))
            const ask = (token: string) => storedSessions(client, single, token)

            t.match(
              await ask(cases.live),
              [{ banned: false, session: { roles: ['user', 'editor'], emailVerified: true } }],
              zone
            )
            t.match(await ask(cases.endsSoon), [{ banned: false }], zone)
            t.same(await ask(cases.expired), [], zone)
            t.match(await ask(cases.banned), [{ banned: true }], zone)
            t.match(await ask(cases.bannedUntilLater), [{ banned: true }], zone)
            t.match(await ask(cases.banIsOver), [{ banned: false }], zone)
            t.same(await ask('unknown'), [], zone)
            t.ok(livesFor(await ask(cases.live), 3600), zone)

            const rows = await storedSessions(client, batch, tokensParameter(Object.values(cases)))
            t.same(
              new Set(rows.map(({ token }) => token)),
              new Set(Object.values(cases).filter(each => each !== cases.expired))
            )
          }
        }
      )

      t.test('the whole session arrives, ids as text, times in milliseconds', async t => {
        const createdAt = new Date(Date.now() - 5000)
        const expiresAt = inSeconds(60)
        const userId = await insert(sql, shape, 'user', {
          email: 'ada@example.com',
          role: ' admin,, support ',
          emailVerified: false
        })
        const id = await insert(sql, shape, 'session', {
          token: 'it',
          userId,
          createdAt,
          expiresAt,
          userAgent: 'curl/8.5.0',
          ipAddress: '203.0.113.7'
        })

        const [stored] = await storedSessions(sql, createSessionQuery(shape).single, 'it')

        t.same(stored?.session, {
          id,
          userId,
          email: 'ada@example.com',
          emailVerified: false,
          roles: ['admin', 'support'],
          organizationId: null,
          organizationRole: null,
          impersonated: false,
          fingerprint: 'curl 203.0.113',
          createdAt: createdAt.getTime(),
          expiresAt: expiresAt.getTime()
        })
      })

      t.test('among 20,000 sessions both forms read indexes only', async t => {
        await fill(sql, shape, 20_000)
        const { single, batch } = createSessionQuery(shape)

        for (const [text, parameter] of [
          [single, `'token-77'`],
          [batch, `'{token-1,token-77,token-19999}'`]
        ] as const) {
          await sql.begin(async tx => {
            await tx.unsafe('set local plan_cache_mode = force_generic_plan')
            await tx.unsafe(`prepare q(text) as ${text.replace('$1::text[]', '$1::text::text[]')}`)
            const plan = (await tx.unsafe(`explain (analyze, timing off) execute q(${parameter})`)).map(
              row => row['QUERY PLAN']
            )
            await tx.unsafe('deallocate q')
            t.notMatch(plan.join('\n'), /Seq Scan/)
            t.match(plan.join('\n'), /Index (Only )?Scan/)
          })
        }
      })

      if (!organizations) return
      t.test('the active organisation comes with the role the member row has now', async t => {
        const userId = await insert(sql, shape, 'user', {})
        const organizationId = await insert(sql, shape, 'organization', {})
        await insert(sql, shape, 'session', { token: 'in', userId, activeOrganizationId: organizationId })
        const memberId = await insert(sql, shape, 'member', { organizationId, userId, role: 'owner' })
        const ask = async () => {
          const [stored] = await storedSessions(sql, createSessionQuery(shape).single, 'in')
          return stored?.session
        }

        t.match(await ask(), { organizationId, organizationRole: 'owner' })
        await update(sql, shape, 'member', memberId, { role: 'member' })
        t.match(await ask(), { organizationId, organizationRole: 'member' })
        await sql.unsafe(`delete from ${tableName(shape, 'member')}`)
        t.match(
          await ask(),
          { organizationId: null, organizationRole: null },
          'an organisation that was left is not active'
        )
      })
    })
  }

  t.test('times are whole milliseconds, rounded down, whatever a double makes of their microseconds', async t => {
    const { sql } = await shapes.open(t, 'ours')
    const shape = await shapeOf(sql)
    const userId = await insert(sql, shape, 'user', {})
    const { batch } = createSessionQuery(shape)
    const micros = Array.from({ length: 3000 }, (_, i) => 946_684_800_000_000 + i * 1_052_000_003_000 - (i % 2))
    await sql.unsafe(
      `insert into auth.session (id, token, user_id, created_at, updated_at, expires_at)
       select 'id ' || n, n, $1, timestamptz 'epoch' + n * interval '1 microsecond', now(), now() + interval '1 day'
         from unnest($2::text::bigint[]) n`,
      [userId, `{${micros.join(',')}}`]
    )

    const stored = await storedSessions(sql, batch, tokensParameter(micros.map(String)))

    t.equal(stored.length, 3000)
    t.same(
      stored.filter(({ token, session }) => session.createdAt !== Math.floor(Number(token) / 1000)),
      []
    )
  })

  t.test('a session without end is live, and fails no others of its batch', async t => {
    const { sql } = await shapes.open(t, 'ours')
    const shape = await shapeOf(sql)
    const userId = await insert(sql, shape, 'user', {})
    for (const token of ['endless', 'plain']) await insert(sql, shape, 'session', { token, userId })
    await sql`update auth.session set expires_at = 'infinity' where token = 'endless'`

    const found = await storedSessions(sql, createSessionQuery(shape).batch, tokensParameter(['endless', 'plain']))

    const endless = found.find(({ token }) => token === 'endless')
    t.same([found.length, endless?.secondsLeft, endless?.session.expiresAt], [2, Infinity, Infinity])
  })

  t.test('two member rows for one organisation do not make two sessions', async t => {
    const { sql } = await shapes.open(t, 'kysely-text')
    const shape = await shapeOf(sql)
    const userId = await insert(sql, shape, 'user', {})
    const organizationId = await insert(sql, shape, 'organization', {})
    await insert(sql, shape, 'session', { token: 'in', userId, activeOrganizationId: organizationId })
    for (const role of ['owner', 'member']) await insert(sql, shape, 'member', { organizationId, userId, role })

    const rows = await sql.unsafe(createSessionQuery(shape).single, ['in'])

    t.equal(rows.length, 1)
  })

  t.test('attached to a Better Auth without plugins there are no roles, bans and organisations', async t => {
    for (const name of ['kysely-core', 'drizzle-core']) {
      const { sql } = await shapes.open(t, name)
      const shape = await inspectAuthShape(sql, { schema: null, mode: 'attached' })
      const userId = await insert(sql, shape, 'user', {})
      await insert(sql, shape, 'session', { token: 'plain', userId })

      const [stored] = await storedSessions(sql, createSessionQuery(shape).single, 'plain')

      t.match(stored, { banned: false, session: { userId, roles: [], organizationId: null } })
    }
  })

  t.test('where nobody compares fingerprints, what they are made of is not read', async t => {
    const { sql } = await shapes.open(t, 'ours')
    const shape = await shapeOf(sql)
    const userId = await insert(sql, shape, 'user', { role: ' admin, user ' })
    const browser = { userAgent: 'Mozilla/5.0 Firefox/140.0', ipAddress: '203.0.113.9' }
    await insert(sql, shape, 'session', { token: 'seen', userId, ...browser })

    for (const [fingerprints, fingerprint] of [
      [true, 'firefox 203.0.113'],
      [false, null]
    ] as const) {
      const { single } = createSessionQuery(shape, { fingerprints })
      const [stored] = await storedSessions(sql, single, 'seen')
      t.match(stored?.session, { fingerprint, roles: ['admin', 'user'] })
      t.equal(single.includes('s."user_agent"'), fingerprints)
    }
  })

  t.test('a token is only ever a value: quotes, braces and backslashes find nothing and break nothing', async t => {
    const { url, sql } = await shapes.open(t, 'ours')
    const shape = await shapeOf(sql)
    const pool = createLookupPool(url, 2)
    t.teardown(() => pool.end({ timeout: 1 }))
    const userId = await insert(sql, shape, 'user', {})
    const odd = ["'", '"', '\\', '{a,b}', 'NULL', '', ',', `"\\"',{}`, 'ü漢🙂']
    for (const token of odd) await insert(sql, shape, 'session', { token, userId })
    const { batch, remove } = createSessionQuery(shape)

    const rows = await storedSessions(pool, batch, tokensParameter(odd))
    t.same(new Set(rows.map(({ token }) => token)), new Set(odd))

    t.equal((await pool.unsafe(remove, [odd[0] as string])).count, 1)
    t.equal((await pool.unsafe(remove, [odd[0] as string])).count, 0)
    t.equal((await pool.unsafe(batch, [tokensParameter(odd)])).length, odd.length - 1)
  })
})

async function rowsOf(sql: Sql, shape: AuthShape) {
  const user = await insert(sql, shape, 'user', { role: 'user,editor' })
  const bannedUser = await insert(sql, shape, 'user', { banned: true })
  const bannedUntil = await insert(sql, shape, 'user', { banned: true, banExpires: inSeconds(60) })
  const banOver = await insert(sql, shape, 'user', { banned: true, banExpires: inSeconds(-60) })
  await insert(sql, shape, 'session', { token: 'live', userId: user, expiresAt: inSeconds(3600) })
  await insert(sql, shape, 'session', { token: 'endsSoon', userId: user, expiresAt: inSeconds(30) })
  await insert(sql, shape, 'session', { token: 'expired', userId: user, expiresAt: inSeconds(-30) })
  await insert(sql, shape, 'session', { token: 'banned', userId: bannedUser })
  await insert(sql, shape, 'session', { token: 'bannedUntilLater', userId: bannedUntil })
  await insert(sql, shape, 'session', { token: 'banIsOver', userId: banOver })
  return {
    live: 'live',
    endsSoon: 'endsSoon',
    expired: 'expired',
    banned: 'banned',
    bannedUntilLater: 'bannedUntilLater',
    banIsOver: 'banIsOver'
  }
}

function livesFor(found: readonly FoundSession[], seconds: number): boolean {
  const left = found[0]?.secondsLeft ?? 0
  return left > seconds - 30 && left <= seconds
}

/** Users, sessions and members in bulk, then statistics as after a while in production. */
async function fill(sql: Sql, shape: AuthShape, count: number): Promise<void> {
  const id = (n: string): string => {
    if (shape.idKind === 'serial') return `1000 + ${n}`
    return shape.idKind === 'uuid' ? `lpad(to_hex(${n}), 32, '0')::uuid` : `'id-' || ${n}`
  }
  const put = async (model: AuthModelName, rows: number, values: Readonly<Record<string, string>>): Promise<void> => {
    const names = Object.keys(values).map(field => columnName(shape, model, field))
    const from = `generate_series(1, ${rows}) n`
    await sql.unsafe(`insert into ${tableName(shape, model)} (${names}) select ${Object.values(values)} from ${from}`)
    await sql.unsafe(`analyze ${tableName(shape, model)}`)
  }
  const times = { createdAt: 'now()', updatedAt: 'now()' }
  await put('user', count, { id: id('n'), name: `'n'`, email: 'n::text', emailVerified: 'true', ...times })
  const active = shape.tables.member === undefined ? {} : { activeOrganizationId: `(${id('1 + n % 10')})::text` }
  const expiresAt = `now() + interval '1 hour'`
  await put('session', count, { id: id('n'), token: `'token-' || n`, userId: id('n'), expiresAt, ...active, ...times })
  if (shape.tables.member === undefined) return
  await put('organization', 10, { id: id('n'), name: `'n'`, slug: 'n::text', createdAt: 'now()' })
  const member = {
    id: id('n'),
    organizationId: id('1 + n % 10'),
    userId: id('n'),
    role: `'member'`,
    createdAt: 'now()'
  }
  await put('member', count, member)
}
