import postgres, { type Sql } from 'postgres'
import t, { type Test } from 'tap'
import { grantsSql, missingGrants } from '../../../schema/grants-sql.js'
import { revocationInstalled } from '../../../schema/revocation-sql.js'
import { inspectAuth } from '../../../src/data/inspect-auth.js'
import { migrate } from '../../../src/data/migrate.js'
import { ConfigError } from '../../../src/errors.js'
import { createSessionQuery } from '../../../src/session/session-query.js'
import { insert, startShapes } from '../../support/shapes.js'

const HOSTED = { schema: null, mode: 'hosted' } as const
const ATTACHED = { schema: null, mode: 'attached' } as const

t.test('migrate', async t => {
  const shapes = await startShapes(t)

  t.test(
    'makes an empty database ready: tables, times with a zone, the indexes Better Auth leaves out (R76, R47)',
    async t => {
      const { sql } = await shapes.empty(t)

      const shape = await migrate(sql, HOSTED, () => {})

      t.equal(shape.schema, 'auth')
      t.equal(await revocationInstalled(sql, shape), true)
      t.match(await inspectAuth(sql, HOSTED), { kind: 'found', problems: [], warnings: [] })
      const zoneless = await sql`select 1 from information_schema.columns
                                where table_schema = 'auth' and data_type = 'timestamp without time zone'`
      t.equal(zoneless.length, 0)
      const indexes = (await sql`select indexdef from pg_indexes where schemaname = 'auth'`)
        .map(({ indexdef }) => indexdef)
        .join('\n')
      for (const columns of [
        /session .*\(expires_at\)/,
        /session .*\(user_id\)/,
        /verification .*\(expires_at\)/,
        /account .*\(provider_id, account_id\)/,
        /member .*\(user_id\)/
      ]) {
        t.match(indexes, columns)
      }
    }
  )

  t.test('done twice, it does and says nothing the second time', async t => {
    const { sql } = await shapes.empty(t)
    const first: string[] = []
    const second: string[] = []

    await migrate(sql, HOSTED, line => first.push(line))
    await migrate(sql, HOSTED, line => second.push(line))

    t.equal(first.length, 2)
    t.same(second, [])
  })

  t.test('started on several machines at once, one of them does it', async t => {
    const { url } = await shapes.empty(t)
    const said: string[] = []

    await Promise.all(
      Array.from({ length: 5 }, async () => {
        const sql = postgres(url, { max: 1, onnotice: () => {} })
        t.teardown(() => sql.end({ timeout: 1 }))
        await migrate(sql, HOSTED, line => said.push(line))
      })
    )

    t.equal(said.length, 2)
  })

  t.test('uses the schema that DATABASE_SCHEMA names, one that is there already too (R74)', async t => {
    const { sql } = await shapes.empty(t)
    await sql`create schema "my ""auth"""`
    const options = { schema: 'my "auth"', mode: 'hosted' } as const

    const shape = await migrate(sql, options, () => {})

    t.equal(shape.schema, 'my "auth"')
    await migrate(sql, options, line => t.fail(line))
    t.equal((await sql`select 1 from pg_namespace where nspname = 'auth'`).length, 0)
  })

  t.test('works beside the tables of another application', async t => {
    const { sql } = await shapes.empty(t)
    await sql`create table "user" (id serial primary key, email text)`

    const shape = await migrate(sql, HOSTED, () => {})

    t.equal(shape.schema, 'auth')
  })

  t.test('gives a plain Better Auth what it lacks, says each statement, and loses nobody', async t => {
    for (const name of ['kysely-core', 'drizzle-core']) {
      const { sql } = await shapes.open(t, name)
      const plain = await inspectAuth(sql, ATTACHED)
      if (plain.kind !== 'found') throw new Error('not found')
      const userId = await insert(sql, plain.shape, 'user', {})
      await insert(sql, plain.shape, 'session', { token: 'from-before', userId })
      const said: string[] = []

      const shape = await migrate(sql, HOSTED, line => said.push(line))

      t.match(said.join('\n'), /ADD COLUMN IF NOT EXISTS "role"/)
      t.match(said.join('\n'), /CREATE TABLE IF NOT EXISTS "public"."jwks"/)
      t.equal((await sql.unsafe(createSessionQuery(shape).single, ['from-before'])).length, 1)
      t.same((await inspectAuth(sql, HOSTED)).problems, [])
      await migrate(sql, HOSTED, line => t.fail(line))
    }
  })

  t.test('attached, it adds the triggers and leaves the tables alone', async t => {
    const { sql } = await shapes.open(t, 'drizzle-core')
    const columns = () => sql`select table_name, column_name from information_schema.columns
                               where table_schema = 'public' and table_name not like 'gateway%' order by 1, 2`
    const before = await columns()

    const shape = await migrate(sql, ATTACHED, () => {})

    t.equal(await revocationInstalled(sql, shape), true)
    t.same(await columns(), before)
  })

  t.test('attached to a database without Better Auth, it refuses to make one', async t => {
    const { sql } = await shapes.empty(t)

    await t.rejects(
      migrate(sql, ATTACHED, () => {}),
      { constructor: ConfigError, message: /AUTH_MODE=attached/ }
    )
    t.match(await inspectAuth(sql, ATTACHED), { kind: 'absent', empty: true })
  })

  t.test('what only an owner can decide is refused with the SQL, and nothing at all is changed', async t => {
    const { sql } = await shapes.open(t, 'kysely-1.7.1')
    await sql`alter table session drop column "impersonatedBy"`
    const said: string[] = []

    await t.rejects(
      migrate(sql, HOSTED, line => said.push(line)),
      { constructor: ConfigError, message: /DROP NOT NULL/ }
    )

    t.same(said, [])
    t.equal((await sql`select to_regclass('public.gateway_outbox') as it`)[0]?.it, null)
  })

  t.test('the granted role can serve, and nothing beside it (R75)', async t => {
    for (const mode of ['hosted', 'attached'] as const) {
      const { sql, url } = await shapes.open(t, 'kysely-serial')
      const shape = await migrate(sql, HOSTED, () => {})
      const operator = postgres(shapes.server.superUrl, { max: 1, onnotice: () => {} })
      t.teardown(() => operator.end({ timeout: 1 }))
      const role = `least_${mode}`
      await operator.unsafe(`create role ${role} login password 'least'`)
      await sql.unsafe(grantsSql(shape, mode, role))
      const { host } = new URL(url)
      const least = postgres(`postgres://${role}:least@${host}${new URL(url).pathname}`, { max: 1, onnotice: () => {} })
      t.teardown(() => least.end({ timeout: 1 }))

      t.same((await inspectAuth(least, { schema: null, mode })).problems, [], mode)
      t.equal(await revocationInstalled(least, shape), true)
      await canOrCannot(t, least, mode)
      t.same(await missingGrants(least, shape, mode), [])
      await sql.unsafe(`revoke update on gateway_node from ${role}`)
      t.match(await missingGrants(least, shape, mode), [/^GRANT UPDATE ON .*gateway_node.* TO "?least_/])
    }
  })
})

async function canOrCannot(t: Test, least: Sql, mode: 'hosted' | 'attached'): Promise<void> {
  const denied = { code: '42501' }
  const addUser = least`insert into "user" (name, email, "emailVerified") values ('Ada', 'ada@example.com', true)`
  if (mode === 'hosted') await t.resolves(addUser)
  else await t.rejects(addUser, denied)
  await t.resolves(least`select * from gateway_outbox`)
  await t.rejects(least`insert into gateway_outbox (kind, key) values ('u', '1')`, denied)
  await t.rejects(least`update gateway_epoch set n = 1`, denied)
  await t.rejects(least`truncate session`, denied)
  await t.rejects(least`create table public.mine (n int)`, denied)
  if (mode === 'attached') await t.rejects(least`select password from account`, denied)
}
