/**
 * `session-gateway doctor` on real servers: what it finds, and that what it prints mends it (contract section 8, R75,
 * R77-79).
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import postgres, { type Sql } from 'postgres'
import t, { type Test } from 'tap'
import { grantsSql } from '../../schema/grants-sql.js'
import type { Diagnosis } from '../../src/cli/diagnosis.js'
import { examinePostgres } from '../../src/cli/doctor-postgres.js'
import { examineRedis } from '../../src/cli/doctor-redis.js'
import { examineSecrets } from '../../src/cli/doctor-secrets.js'
import { examineUpstreams } from '../../src/cli/doctor-upstreams.js'
import { type Config, loadConfig } from '../../src/config/load-config.js'
import { inspectAuthShape } from '../../src/data/inspect-auth.js'
import { migrate } from '../../src/data/migrate.js'
import { freePort } from '../../src/data/postgres-cluster.js'
import { checkRoutes } from '../../src/routes/route-rules.js'
import { builtCommand } from '../support/built.js'
import { createCertificate } from '../support/certificate.js'
import { migratedPostgres, SECRET } from '../support/gateway.js'
import { startPooler } from '../support/pgbouncer.js'
import { startPostgres, type TestPostgres } from '../support/postgres.js'
import { startRedis } from '../support/redis.js'
import { startUpstream } from '../support/upstream.js'

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

async function doctor(cwd: string, env: Readonly<Record<string, string>>, ...args: string[]): Promise<Outcome> {
  const command = await builtCommand('doctor', ...args)
  return new Promise(resolve => {
    const options = { cwd, env: { PATH: process.env['PATH'], BETTER_AUTH_SECRET: SECRET, ...env } }
    execFile(process.execPath, command, options, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr })
    )
  })
}

function config(variables: Readonly<Record<string, string>> = {}): Config['env'] {
  return loadConfig({ BETTER_AUTH_SECRET: SECRET, DATABASE_URL: 'postgres://u@h/d', ...variables }, checkRoutes).env
}

function examine(
  databaseUrl: string,
  variables: Readonly<Record<string, string>> = {},
  audiences: readonly string[] = []
): Promise<Diagnosis[]> {
  const { DATABASE_DIRECT_URL: databaseDirectUrl = databaseUrl } = variables
  return examinePostgres({ databaseUrl, databaseDirectUrl, env: config(variables), audiences })
}

/** Less how long servers take: on a busy machine that says nothing about them. */
const bad = (checks: readonly Diagnosis[]) =>
  checks.filter(({ level, message }) => level === 'fail' || (level === 'warn' && !/answers in \d/.test(message)))

/** A role that serves and nothing else, as `migrate --grants` has it. */
async function servingRole(server: TestPostgres, superuser: Sql): Promise<string> {
  const shape = await inspectAuthShape(superuser, { schema: null, mode: 'hosted' })
  await superuser.unsafe(`create role app login password 'app'; ${grantsSql(shape, 'hosted', 'app')}`)
  return server.url.replace(/\/\/[^@]*@/, '//app:app@')
}

async function run(sql: Sql, mend: readonly string[]): Promise<void> {
  for (const statement of mend) await sql.unsafe(statement)
}

t.test('a deployment as it should be has nothing to mend, in words and as JSON', async t => {
  const server = await migratedPostgres(t)
  const superuser = postgres(server.superUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => superuser.end())
  const [url, redis, upstream] = [await servingRole(server, superuser), await startRedis(t), await startUpstream(t)]
  const env = { DATABASE_URL: url, REDIS_URL: redis.url }
  const yaml = `
upstreams: { a: { targets: [${upstream.origin}], audience: a, health: { path: /up } } }
routes: [{ name: a, path: /a/*, upstream: a, access: session }]
`
  const cwd = t.testdir({ 'gateway.yaml': yaml })
  const [words, json] = await Promise.all([doctor(cwd, env), doctor(cwd, env, '--json')])

  t.match(words, { code: 0, stderr: '' })
  t.match(words.stdout, /^(ok|warn) +postgres +PostgreSQL \d+.*primary/m)
  t.match(words.stdout, /^ok {4}listener +NOTIFY arrives/m)
  t.match(words.stdout, /^ok {4}upstream a +http:.* answers 200 to GET \/up$/m)
  t.match(words.stdout, /\n(Nothing to mend|0 failed, .*)\.\n$/)
  t.notMatch(words.stdout, '\u001B', 'no colours but on a terminal')
  t.equal(upstream.received[0]?.url, '/up')
  const { ok, checks } = JSON.parse(json.stdout) as { ok: boolean; checks: Diagnosis[] }
  t.equal(ok, true)
  t.strictSame(bad(checks), [])
  const all = 'secrets postgres clock tables triggers nodes grants connections listener redis upstream a'
  t.equal(checks.map(({ about }) => about).join(' '), all)
})

t.test('what fails is a 1, each with its line, and no password', async t => {
  const port = await freePort()
  const env = {
    DATABASE_URL: `postgres://u:hunter2@127.0.0.1:${port}/d`,
    REDIS_URL: `redis://:hunter2@127.0.0.1:${port}`
  }
  const yaml = `
upstreams: { a: { targets: ['http://127.0.0.1:${port}'], internalKey: hunter2 } }
routes: [{ name: a, path: /a/*, upstream: a, access: session }]
`
  const { code, stdout, stderr } = await doctor(t.testdir({ 'gateway.yaml': yaml }), env)

  t.equal(code, 1)
  t.equal(stderr, '')
  t.match(stdout, /^fail {2}postgres +DATABASE_URL leads nowhere: ECONNREFUSED/m)
  t.match(stdout, /^fail {2}redis +REDIS_URL leads nowhere: ECONNREFUSED/m)
  t.match(stdout, /^fail {2}upstream a +http:.* cannot be reached: ECONNREFUSED/m)
  t.match(stdout, /^warn {2}secrets +.*\n +openssl rand -hex 32$/m)
  t.match(stdout, /\n3 failed, 1 warning\.\n$/)
  t.notMatch(stdout, 'hunter2')
})

t.test('a configuration with problems is a 78, before anything is asked', async t => {
  const { code, stdout, stderr } = await doctor(t.testdir({ 'gateway.yaml': 'routes: [7]' }), { PORT: 'no' })

  t.match({ code, stdout }, { code: 78, stdout: '' })
  t.match(stderr, /^env PORT: /)
})

t.test('the database', async t => {
  const server = await startPostgres(t)
  const superuser = postgres(server.superUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => superuser.end())

  t.test('without tables says which command makes them', async t => {
    t.match(bad(await examine(server.url)), [
      { level: 'fail', about: 'tables', message: /no tables/, mend: ['npx session-gateway migrate'] }
    ])
  })

  const owner = postgres(server.url, { max: 1, onnotice: () => {} })
  t.teardown(() => owner.end())
  const setUp = () => migrate(owner, { schema: null, mode: 'hosted' }, () => {})
  await setUp()
  const url = await servingRole(server, superuser)
  t.strictSame(bad(await examine(url)), [])

  t.test('a lost index and a wrong type come with the SQL that mends them', async t => {
    await superuser`alter table auth.session drop constraint session_token_unique`.catch(
      () => superuser`drop index auth.session_token_key`
    )
    await superuser`alter table auth.session alter column ip_address type inet using null`
    const found = bad(await examine(url))

    t.match(found, [
      { level: 'fail', about: 'tables' },
      { level: 'fail', about: 'tables' }
    ])
    t.match(JSON.stringify(found), /inet/)
    await run(
      superuser,
      found.flatMap(({ mend }) => mend)
    )
    t.strictSame(bad(await examine(url)), [])
  })

  t.test('triggers: disabled, missing, of another version', async t => {
    await superuser`alter table auth.session disable trigger gateway_session_deleted`
    const [disabled] = bad(await examine(url))
    t.match(disabled, { level: 'fail', about: 'triggers', mend: [/^ALTER TABLE .* ENABLE ALWAYS TRIGGER/] })
    await run(superuser, disabled?.mend ?? [])
    t.strictSame(bad(await examine(url)), [])

    await superuser`drop trigger gateway_user_updated on auth."user"`
    t.match(bad(await examine(url)), [
      {
        level: 'fail',
        about: 'triggers',
        message: /gateway_user_updated on user/,
        mend: ['npx session-gateway migrate']
      }
    ])
    await setUp()

    await superuser`comment on table auth.gateway_outbox is 'older'`
    t.match(bad(await examine(url)), [{ level: 'fail', about: 'triggers', message: /not what this version installs/ }])
    await setUp()
    t.strictSame(bad(await examine(url)), [])
  })

  t.test('grants: too few and too many', async t => {
    await superuser`revoke delete on auth.gateway_outbox from app`
    await superuser`revoke insert on auth.session from app`
    const few = bad(await examine(url))
    t.match(few, [
      { level: 'fail', about: 'tables', message: /lacks/ },
      { level: 'fail', about: 'grants', mend: ['GRANT DELETE ON "auth"."gateway_outbox" TO "app";'] }
    ])
    await run(
      superuser,
      few.flatMap(({ mend }) => mend)
    )
    t.strictSame(bad(await examine(url)), [])

    await superuser.unsafe(`create schema shop; create table shop.orders (id int); grant usage on schema shop to app;
      grant insert, update on shop.orders to app; grant truncate on auth.session to app; alter role app createdb`)
    const many = bad(await examine(url))
    t.match(many, [
      { level: 'warn', about: 'grants', message: /shop\.orders/ },
      { level: 'warn', about: 'grants', message: /auth\.session/ },
      { level: 'warn', about: 'grants', mend: ['ALTER ROLE "app" NOCREATEDB;'] }
    ])
    await run(
      superuser,
      many.flatMap(({ mend }) => mend)
    )
    t.strictSame(bad(await examine(url)), [])

    t.match(bad(await examine(server.url)), [{ level: 'warn', about: 'grants', message: /owns the tables/ }])
    t.match(bad(await examine(server.superUrl)), [{ level: 'warn', about: 'grants', message: /superuser/ }])
    const attached = bad(await examine(url, { AUTH_MODE: 'attached' }))
    t.match(attached, [
      { level: 'warn', about: 'grants', message: /attached/, mend: [/^REVOKE INSERT, UPDATE, DELETE/] }
    ])
  })

  t.test('an audience without a table for keys', async t => {
    await superuser`alter table auth.jwks rename to other`
    await superuser`alter table auth.other rename column private_key to other_key`
    t.match(
      bad(await examine(url, { AUTH_MODE: 'attached' }, ['orders'])).find(({ level }) => level === 'fail'),
      {
        about: 'tables',
        message: /orders/
      }
    )
    await superuser`alter table auth.other rename column other_key to private_key`
    await superuser`alter table auth.other rename to jwks`
  })

  t.test('a clock that is off', async t => {
    await superuser.unsafe(`create schema clock; grant usage on schema clock to app;
      create function clock.clock_timestamp() returns timestamptz language sql as
        $$ select pg_catalog.now() - interval '5 seconds' $$;
      alter role app set search_path = clock, pg_catalog`)
    t.match(bad(await examine(url)), [{ level: 'warn', about: 'clock', message: /5\.\d s behind/, mend: [/ntp/] }])
    await superuser.unsafe(`create or replace function clock.clock_timestamp() returns timestamptz language sql as
      $$ select pg_catalog.now() + interval '2 minutes' $$`)
    t.match(bad(await examine(url)), [{ level: 'fail', about: 'clock', message: /ahead of/ }])
    await superuser`alter role app reset search_path`
  })

  t.test('one that goes silent in between', async t => {
    await superuser.unsafe(`create or replace function clock.clock_timestamp() returns timestamptz language sql as
      $$ select pg_catalog.pg_sleep(60); select pg_catalog.now() $$;
      alter role app set search_path = clock, pg_catalog`)
    // As behind a pooler, where the server has no time limit of ours.
    t.match(await examine(`${url}?pgbouncer=true`), [{ level: 'fail', about: 'postgres', message: /no answer within/ }])
    await superuser`alter role app reset search_path`
  })

  t.test('fewer connections than it would need', async t => {
    t.match(bad(await examine(url, { DATABASE_POOL_MAX: '500' })), [
      {
        level: 'warn',
        about: 'connections',
        message: /^PostgreSQL allows \d+: other programs have \d+ open, and the gateway here may need 1020, /,
        mend: [/^ALTER SYSTEM SET max_connections = \d+;/]
      }
    ])
  })

  t.test('gateways that are registered are counted', async t => {
    await superuser`insert into auth.gateway_node values ('n', 1000, now() + interval '1 minute', null)`
    t.match(
      (await examine(url)).find(({ about }) => about === 'nodes'),
      { level: 'ok', message: '1 gateway is registered' }
    )

    await superuser`insert into auth.gateway_node values ('gone', 1000, now() - interval '1 minute', null)`
    t.strictSame(bad(await examine(url)), [], 'who has gone does not count')
    await superuser`insert into auth.gateway_node values ('m', 1000, now() + interval '1 minute', null)`
    t.match(bad(await examine(url)), [
      { level: 'warn', about: 'nodes', message: /^2 gateways .*sign-in attempts/, mend: [/^REDIS_URL=/] }
    ])
    t.strictSame(bad(await examine(url, { REDIS_URL: 'redis://127.0.0.1' })), [])
    await superuser`delete from auth.gateway_node`
  })

  t.test('a pooler that swallows notifications, and the way past it', async t => {
    const pooled = await startPooler(t, url)

    t.match(bad(await examine(pooled)), [
      { level: 'warn', about: 'listener', message: /pooler/, mend: [/^DATABASE_DIRECT_URL=/] }
    ])
    t.strictSame(bad(await examine(pooled, { DATABASE_DIRECT_URL: url })), [])
  })

  t.test('a direct address that leads nowhere', async t => {
    const nowhere = url.replace(/:\d+\//, `:${await freePort()}/`)

    t.match(bad(await examine(url, { DATABASE_DIRECT_URL: nowhere })), [
      { level: 'fail', about: 'postgres', message: /^DATABASE_DIRECT_URL leads nowhere/ }
    ])
  })
})

t.test('Redis', async t => {
  const redis = await startRedis(t)
  const ask = (variables = {}) => examineRedis(config({ REDIS_URL: redis.url, ...variables }))
  const { client, close } = await operatorOf(redis.url)
  t.teardown(close)
  t.match(await ask(), [{ level: 'ok', message: /^Redis \d.*master, noeviction/ }])

  await client.config('SET', 'maxmemory-policy', 'allkeys-random')
  const [evicts] = await ask()
  t.match(evicts, { level: 'warn', about: 'redis', message: /allkeys-random/ })
  t.strictSame(evicts?.mend, ['redis-cli CONFIG SET maxmemory-policy volatile-lru'])
  await client.config('SET', 'maxmemory-policy', 'volatile-lru')
  t.match(await ask(), [{ level: 'ok', message: /volatile-lru/ }])

  await client.config('SET', 'maxmemory-policy', 'noeviction')
  await client.config('SET', 'maxmemory', '100kb')
  t.match(await ask(), [{ level: 'warn', message: /memory is taken/ }])
  await client.config('SET', 'maxmemory', '0')

  await client.call('ACL', 'SETUSER', 'poor', 'on', '>poor', '~*', '+@all', '-@scripting')
  t.match(await ask({ REDIS_URL: redis.url.replace('//', '//poor:poor@') }), [
    { level: 'fail', message: /^scripts are refused: NOPERM/ }
  ])
  await client.call('REPLICAOF', '127.0.0.1', String(redis.port + 1))
  t.match(await ask(), [{ level: 'fail', message: /replica/ }])
  await redis.stop()
  t.match(await ask(), [{ level: 'fail', message: /leads nowhere/ }])

  t.match(await examineRedis(config()), [{ level: 'ok', message: /one machine/ }])
  t.match(await examineRedis(config({ WORKERS: '2' })), [{ level: 'warn' }])
})

t.test('upstreams: nobody there, one of two, unhealthy, a certificate nobody trusts', async t => {
  const [up, sick, tls] = [
    await startUpstream(t),
    await startUpstream(t),
    await startUpstream(t, { tls: createCertificate({ name: '127.0.0.1' }) })
  ]
  sick.respond = (_request, response) => response.writeHead(503).end()
  const nowhere = `http://127.0.0.1:${await freePort()}`
  const ask = (targets: readonly string[], health = true) =>
    examineUpstreams(
      loadConfigOf(`{ targets: ${JSON.stringify(targets)}${health ? ', health: { path: /up }' : ''} }`, t)
    )

  t.match(await ask([up.origin], false), [{ level: 'ok', about: 'upstream a', message: /takes connections$/ }])
  t.match(await ask([nowhere]), [{ level: 'fail', message: /cannot be reached: ECONNREFUSED/ }])
  t.match(await ask([up.origin, nowhere]), [{ level: 'ok' }, { level: 'warn' }])
  t.match(await ask([sick.origin]), [{ level: 'fail', message: /answers 503 to GET \/up\.$/ }])
  t.match(await ask([tls.origin]), [{ level: 'fail', message: /SELF_SIGNED/ }])
})

t.test('secrets that are long and not random, and keys that are short', t => {
  const [even] = examineSecrets(config({ BETTER_AUTH_SECRET: 'abc'.repeat(20) }), [])
  t.match(even, { level: 'warn', about: 'secrets', mend: ['openssl rand -hex 32'] })
  t.match(examineSecrets(config(), loadConfigOf('{ targets: [http://a], internalKey: sesame }', t)), [
    { level: 'warn', message: /upstream a has 6 characters/ }
  ])
  t.match(examineSecrets(config(), []), [{ level: 'ok' }])
  t.end()
})

function loadConfigOf(upstream: string, t: Test) {
  const dir = t.testdir({
    'gateway.yaml': `upstreams: { a: ${upstream} }\nroutes: [{ name: a, path: /a, upstream: a, access: public }]\n`
  })
  const variables = { BETTER_AUTH_SECRET: SECRET, GATEWAY_CONFIG: join(dir, 'gateway.yaml') }
  return loadConfig(variables, checkRoutes).gateway?.upstreams ?? []
}

async function operatorOf(url: string) {
  const { Redis } = await import('ioredis')
  const client = new Redis(url)
  client.on('error', () => {})
  return { client, close: () => client.disconnect() }
}
