/** The roles of docker-compose.yml on a real PostgreSQL: each may do its work, and nothing beside it (R74, R75). */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import postgres, { type Sql } from 'postgres'
import t from 'tap'
import { inspectAuth } from '../../src/data/inspect-auth.js'
import { migrate } from '../../src/data/migrate.js'
import { startPostgres } from '../support/postgres.js'
import { ROOT } from '../support/root.js'

const HOSTED = { schema: null, mode: 'hosted' } as const
const PASSWORDS: Readonly<Record<string, string>> = {
  owner_password: "owner's password",
  gateway_password: 'gateway password',
  app_password: 'app password'
}

const server = await startPostgres(t)
const as = (url: URL): Sql => {
  const sql = postgres(url.href, { max: 1, onnotice: () => {}, fetch_types: false })
  t.teardown(() => sql.end({ timeout: 0 }))
  return sql
}
const address = (database: string, user: string, password: string): URL => {
  const url = new URL(server.superUrl)
  url.pathname = database
  url.username = user
  url.password = encodeURIComponent(password)
  return url
}

/** What the postgres image does at its first start: an empty database `app`, then examples/compose/roles.sh. */
async function initialise(): Promise<void> {
  const { password } = new URL(server.superUrl)
  const admin = as(address('postgres', 'postgres', decodeURIComponent(password)))
  // The test server comes with a role of a name that roles.sql makes itself.
  await admin.unsafe('DROP DATABASE gateway')
  await admin.unsafe('DROP ROLE gateway')
  await admin.unsafe('CREATE DATABASE app')
  const script = await readFile(join(ROOT, 'examples/compose/roles.sql'), 'utf8')
  // psql's own :'name'
  const sql = script.replace(/:'(\w+)'/g, (_, name: string) => `'${PASSWORDS[name]?.replaceAll("'", "''")}'`)
  await as(address('app', 'postgres', decodeURIComponent(password))).unsafe(sql)
}

await initialise()
const owner = as(address('app', 'gateway_owner', PASSWORDS.owner_password ?? ''))
const gateway = as(address('app', 'gateway', PASSWORDS.gateway_password ?? ''))
const app = as(address('app', 'app', PASSWORDS.app_password ?? ''))

t.test('gateway_owner can migrate, and a second time there is nothing to do', async t => {
  const lines: string[] = []

  const shape = await migrate(owner, HOSTED, line => lines.push(line))
  const before = lines.length
  await migrate(owner, HOSTED, line => lines.push(line))

  t.equal(shape.schema, 'auth')
  t.ok(before > 0)
  t.equal(lines.length, before)
})

t.test('gateway finds a database without problems, reads and writes every table, and sees its own outbox', async t => {
  const inspection = await inspectAuth(gateway, HOSTED)
  const tables = await gateway<{ name: string }[]>`select tablename as name from pg_tables where schemaname = 'auth'`
  await gateway`insert into auth.user (id, name, email) values ('ada', 'Ada', 'ada@example.com')`
  await gateway`insert into auth.session (id, token, user_id, expires_at) values ('s', 'token', 'ada', now() + interval '1 day')`
  await gateway`update auth.user set role = 'admin' where id = 'ada'`
  await gateway`delete from auth.session where id = 's'`
  const [outbox] = await gateway<[{ n: number }]>`select count(*)::int as n from auth.gateway_outbox`
  await gateway`delete from auth.gateway_outbox`

  t.equal(inspection.kind, 'found')
  t.strictSame(inspection.problems, [])
  t.ok(tables.length >= 8)
  for (const { name } of tables) {
    for (const right of ['SELECT', 'INSERT', 'UPDATE', 'DELETE']) {
      const [may] = await gateway<[{ ok: boolean }]>`select has_table_privilege(${`auth."${name}"`}, ${right}) as ok`
      t.ok(may.ok, `${right} ${name}`)
    }
  }
  t.equal(outbox.n, 2, 'the role change and the end of the session')
})

t.test('gateway may not change tables, drop triggers or make anything of its own', async t => {
  for (const statement of [
    'CREATE TABLE auth.mine (id int)',
    'CREATE TABLE public.mine (id int)',
    'CREATE SCHEMA mine',
    'ALTER TABLE auth.session ADD COLUMN mine int',
    'ALTER TABLE auth.session DISABLE TRIGGER ALL',
    'DROP TABLE auth.session',
    'TRUNCATE auth.session',
    'SELECT * FROM app.orders'
  ]) {
    await t.rejects(gateway.unsafe(statement), /permission denied|must be owner|does not exist/, statement)
  }
})

t.test('app owns its own schema and sees nothing of auth', async t => {
  await app.unsafe('CREATE TABLE app.orders (id int); INSERT INTO app.orders VALUES (1)')

  for (const statement of [
    'SELECT * FROM auth.session',
    'SELECT * FROM auth.user',
    'SELECT * FROM auth.gateway_outbox',
    "DELETE FROM auth.session WHERE id = 's'",
    'CREATE TABLE auth.mine (id int)',
    'SELECT auth.gateway_session_changed()'
  ]) {
    await t.rejects(app.unsafe(statement), /permission denied/, statement)
  }
  await t.rejects(gateway.unsafe('SELECT * FROM app.orders'), /permission denied/, 'nor does gateway see app')
})
