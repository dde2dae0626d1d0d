/** The process: signals, reload, and the ways it refuses to start. */
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { migratedPostgres, ROUTES } from '../support/gateway.js'
import { type GatewayProcess, isUp, spawnGateway, until } from '../support/process.js'
import { startRedis } from '../support/redis.js'
import { emptyFolder } from '../support/scratch.js'
import { startUpstream, type Upstream } from '../support/upstream.js'

const SECRET = 'a-secret-for-tests-of-32-characters-or-more'

const sh = promisify(execFile)

async function start(
  t: Test,
  routes = ROUTES,
  env: Readonly<Record<string, string>> = {}
): Promise<{ gateway: GatewayProcess; upstream: Upstream; file: string }> {
  const upstream = await startUpstream(t)
  const database = await migratedPostgres(t)
  const folder = await emptyFolder(t)
  const file = join(folder, 'gateway.yaml')
  await writeFile(file, routes.replaceAll('$UPSTREAM', upstream.origin))
  const gateway = await spawnGateway(t, folder, { DATABASE_URL: database.url, BETTER_AUTH_SECRET: SECRET, ...env })
  await isUp(gateway)
  return { gateway, upstream, file }
}

t.test('SIGTERM: what runs is finished, what comes is told to go elsewhere, exit 0 (K16)', async t => {
  const { gateway, upstream } = await start(t)
  const running = fetch(`${gateway.origin}/public/__fault/slow/800`)
  await until(
    () => upstream.received.length === 1,
    () => 'the upstream was not reached',
    gateway
  )

  gateway.signal('SIGTERM')
  const answer = await running

  t.equal(answer.status, 200)
  t.match(await answer.json(), { url: '/public/__fault/slow/800' })
  t.equal(await gateway.ended, 0)
  t.equal(gateway.stderr(), '')
})

t.test('SIGHUP: a new gateway.yaml is in force at once, a broken one changes nothing and says why', async t => {
  const { gateway, file } = await start(t)
  const status = async (path: string) => (await fetch(gateway.origin + path)).status
  t.equal(await status('/fresh/x'), 404)

  const text = await readFile(file, 'utf8')
  await writeFile(file, `${text}  - { name: fresh, path: /fresh/*, upstream: a, access: public }\n`)
  gateway.signal('SIGHUP')
  await until(
    async () => (await status('/fresh/x')) === 200,
    () => gateway.stdout(),
    gateway
  )

  await writeFile(file, `${text}  - { name: broken, path: /broken/*, upstream: nobody }\n`)
  gateway.signal('SIGHUP')
  await until(
    () => gateway.stdout().includes('stays in force'),
    () => gateway.stdout(),
    gateway
  )
  t.match(gateway.stdout(), /gateway\.yaml:\d+:\d+ routes\[7\]/)
  t.equal(await status('/fresh/x'), 200, 'the last good one')
})

t.test('a bad gateway.yaml: every problem with its place, exit 78, and nothing listens', async t => {
  const folder = await emptyFolder(t)
  await writeFile(
    join(folder, 'gateway.yaml'),
    'upstreams:\n  a: { targets: ["ftp://x"], colour: red }\nroutes:\n  - { name: open, path: /x/*, upstream: b }\n'
  )
  const gateway = await spawnGateway(t, folder, { PORT: '99999' })

  t.equal(await gateway.ended, 78)
  for (const problem of [/PORT/, /:2:\d+ upstreams\.a\.targets/, /colour/, /access/, /upstream.*b/]) {
    t.match(gateway.stderr(), problem)
  }
  t.equal(gateway.stdout(), '')
})

t.test('production refuses to start without database, secret and https address, and lists them all (R84)', async t => {
  const gateway = await spawnGateway(t, await emptyFolder(t), { NODE_ENV: 'production' })

  t.equal(await gateway.ended, 78)
  for (const name of ['DATABASE_URL', 'BETTER_AUTH_SECRET', 'BETTER_AUTH_URL', 'GATEWAY_CONFIG']) {
    t.match(gateway.stderr(), name)
  }
})

t.test('a database without tables is refused with the command that makes them', async t => {
  const { startPostgres } = await import('../support/postgres.js')
  const { url } = await startPostgres(t)
  const gateway = await spawnGateway(t, await emptyFolder(t), { DATABASE_URL: url, BETTER_AUTH_SECRET: SECRET })

  t.equal(await gateway.ended, 78)
  t.match(gateway.stderr(), 'npx session-gateway migrate')
})

t.test(
  'DATABASE_URL that leads nowhere beside a DATABASE_DIRECT_URL that is right: a plain sentence, exit 1',
  async t => {
    const [database, redis] = await Promise.all([migratedPostgres(t), startRedis(t)])
    const gateway = await spawnGateway(t, await emptyFolder(t), {
      DATABASE_URL: 'postgres://gateway@127.0.0.1:1/gateway',
      DATABASE_DIRECT_URL: database.url,
      REDIS_URL: redis.url,
      BETTER_AUTH_SECRET: SECRET
    })
    const late = setTimeout(() => gateway.signal('SIGKILL'), 30_000)
    t.equal(await gateway.ended, 1)
    clearTimeout(late)
    t.match(gateway.stderr(), 'does DATABASE_URL name it?')
  }
)

t.test('a taken port: a plain sentence, exit 1', async t => {
  const { gateway } = await start(t)
  const folder = await emptyFolder(t)
  const other = await spawnGateway(t, folder, { PORT: String(gateway.port) })

  t.equal(await other.ended, 1)
  t.match(other.stderr(), `${gateway.port}`)
})

t.test('WORKERS=2: one port, one set of numbers, a worker that dies is replaced, all end together', async t => {
  const { gateway } = await start(t, ROUTES, { WORKERS: '2' })
  const ops = async (path: string) => (await fetch(`http://127.0.0.1:${gateway.opsPort}${path}`)).text()
  const workers = async () => (JSON.parse(await ops('/readyz')) as { workers: { detail: string } }).workers.detail
  for (let i = 0; i < 10; i++) {
    t.equal((await fetch(`${gateway.origin}/public/x`, { headers: { connection: 'close' } })).status, 200)
  }

  t.match(await ops('/metrics'), 'session_gateway_requests_total{route="public",method="GET",status="200"} 10')
  t.equal(await workers(), 'answering: 1, 2')
  t.match(JSON.parse(await ops('/readyz')), { ready: true, postgres: { ok: true }, redis: { ok: true } })

  const probes = Array.from({ length: 20 }, async () => {
    const [, { status }] = await Promise.all([ops('/metrics'), fetch(`http://127.0.0.1:${gateway.opsPort}/readyz`)])
    return status
  })
  t.strictSame([...new Set(await Promise.all(probes))], [200], 'a scrape in between disturbs none')

  const [pid] = (await sh('pgrep', ['-P', String(gateway.child.pid), '-f', 'server.js'])).stdout.split('\n')
  process.kill(Number(pid), 'SIGKILL')
  await until(
    async () => (await workers()).includes('3'),
    () => gateway.stdout(),
    gateway
  )
  await until(
    async () => (await fetch(`${gateway.origin}/readyz`)).status === 200,
    () => gateway.stdout(),
    gateway
  )

  gateway.signal('SIGTERM')
  t.equal(await gateway.ended, 0)
})
