import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { startEmbeddedPostgres } from '../../../src/data/embedded-postgres.js'
import { readPostmaster } from '../../../src/data/postgres-cluster.js'
import { parentOf } from '../../../src/data/unix-process.js'
import { eventually } from '../../support/eventually.js'
import { emptyFolder } from '../../support/scratch.js'

const KEEPER = fileURLToPath(import.meta.resolve('../../support/keep-embedded-postgres.js'))

/** Closed to everybody but us, as a home of root is. */
async function aFolder(t: Test): Promise<string> {
  return join(await emptyFolder(t), '.data/postgres')
}

async function answers(url: string): Promise<boolean> {
  const sql = postgres(url, { max: 1, onnotice: () => {}, connect_timeout: 2 })
  try {
    await sql`select 1`
    return true
  } catch {
    return false
  } finally {
    await sql.end({ timeout: 1 })
  }
}

/** A gateway process that holds the database, told apart by its process id. */
async function aKeeper(t: Test, dataDir: string): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', KEEPER, dataDir], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    await once(child, 'exit')
  })
  const [url] = (await once(createInterface(child.stdout), 'line')) as [string]
  return { child, url }
}

/** One folder after the other would each cost the making of a database. Every test leaves it with nothing running. */
const dataDir = await aFolder(t)

t.test('keeps its data, password and port from one start to the next', async t => {
  const said: string[] = []
  const first = await startEmbeddedPostgres({ dataDir, log: line => said.push(line) })
  const sql = postgres(first.url, { max: 1 })
  await sql`create table kept (n int)`
  await sql.end()
  await first.stop()
  t.equal(await answers(first.url), false)

  const second = await startEmbeddedPostgres({ dataDir, log: line => said.push(line) })
  t.teardown(() => second.stop())

  t.equal(second.url, first.url)
  const again = postgres(second.url, { max: 1 })
  t.same(await again`select * from kept`, [])
  await again.end()
  t.same(said, [], 'nothing worth saying')
})

t.test('nobody else can read the data or the password, and nothing but this machine can reach it', async t => {
  const embedded = await startEmbeddedPostgres({ dataDir, log: () => {} })
  t.teardown(() => embedded.stop())

  for (const [path, mode] of [
    ['', 0o700],
    ['.json', 0o600],
    ['.log', 0o600],
    ['/..', 0o700]
  ] as const) {
    t.equal((await stat(dataDir + path)).mode & 0o777, mode, path)
  }
  t.equal(new URL(embedded.url).hostname, '127.0.0.1')
  const sql = postgres(embedded.url, { max: 1 })
  t.teardown(() => sql.end({ timeout: 1 }))
  const [, , , , socketFolder, address] = (await readFile(`${dataDir}/postmaster.pid`, 'utf8')).split('\n')
  t.same({ socketFolder, address: address?.trim() }, { socketFolder: '', address: '127.0.0.1' })
  t.match(await sql`select rolsuper from pg_roles where rolname = current_user`, [{ rolsuper: false }])
  t.equal(await answers(embedded.url.replace(/:[^:@]+@/, ':wrong@')), false)
  t.notMatch(await readFile(`${dataDir}.log`, 'utf8'), new URL(embedded.url).password)
})

t.test('is a process group of its own: Ctrl-C in the terminal does not reach it', async t => {
  const embedded = await startEmbeddedPostgres({ dataDir, log: () => {} })
  t.teardown(() => embedded.stop())

  const { pid = 0 } = (await readPostmaster(dataDir)) ?? {}

  t.equal(await parentOf(pid), process.pid)
  t.doesNotThrow(() => process.kill(-pid, 0), 'it leads a group')
})

t.test('a server whose gateway was killed is stopped and started again, its data intact', async t => {
  const { child, url } = await aKeeper(t, dataDir)
  const sql = postgres(url, { max: 1 })
  await sql`create table kept_too (n int)`
  await sql.end()
  const orphan = await readPostmaster(dataDir)
  child.kill('SIGKILL')
  await once(child, 'exit')
  t.equal(await answers(url), true, 'it outlives its gateway')
  const said: string[] = []

  const embedded = await startEmbeddedPostgres({ dataDir, log: line => said.push(line) })
  t.teardown(() => embedded.stop())

  t.match(said, [/earlier run/])
  t.not((await readPostmaster(dataDir))?.pid, orphan?.pid)
  const again = postgres(embedded.url, { max: 1 })
  t.same(await again`select * from kept_too`, [])
  await again.end()
})

t.test('a second gateway on the same folder shares the server and leaves it running', async t => {
  const { url } = await aKeeper(t, dataDir)
  const said: string[] = []

  const shared = await startEmbeddedPostgres({ dataDir, log: line => said.push(line) })
  t.equal(shared.url, url)
  t.match(said, [/sharing it/])
  await shared.stop()

  t.equal(await answers(url), true)
})

t.test('two that start at once in an empty folder end up with one server', async t => {
  const dataDir = await aFolder(t)

  const [one, two] = await Promise.all([aKeeper(t, dataDir), aKeeper(t, dataDir)])

  t.equal(one.url, two.url)
  t.equal(await answers(one.url), true)
})

t.test('a process that ends without closing takes its server along', async t => {
  const { child, url } = await aKeeper(t, dataDir)

  child.stdin?.end('exit\n')
  await once(child, 'exit')

  await eventually(async () => (await readPostmaster(dataDir)) === null, 'the server has ended')
  t.equal(await answers(url), false)
})

t.test('a server that dies is brought back on the same port', async t => {
  const said: string[] = []
  const embedded = await startEmbeddedPostgres({ dataDir, log: line => said.push(line) })
  t.teardown(() => embedded.stop())
  const { pid = 0 } = (await readPostmaster(dataDir)) ?? {}

  process.kill(pid, 'SIGKILL')

  await eventually(async () => ![pid, undefined].includes((await readPostmaster(dataDir))?.pid), 'another server')
  await eventually(() => answers(embedded.url), 'it answers')
  t.match(said[0], /ended unexpectedly/)
})

t.test('a note of a server that is long gone does not keep it from starting', async t => {
  const first = await startEmbeddedPostgres({ dataDir, log: () => {} })
  await first.stop()
  // Its number belongs to a living process by now: this one.
  await writeFile(join(dataDir, 'postmaster.pid'), `${process.pid}\n${dataDir}\n1\n5432\n\n127.0.0.1\n0 0\nready\n`)

  const second = await startEmbeddedPostgres({ dataDir, log: () => {} })
  t.teardown(() => second.stop())

  t.equal(await answers(second.url), true)
})

t.test('without the password of its data it says what to do', async t => {
  const first = await startEmbeddedPostgres({ dataDir, log: () => {} })
  await first.stop()
  await rm(`${dataDir}.json`)

  await t.rejects(startEmbeddedPostgres({ dataDir, log: () => {} }), {
    name: 'ConfigError',
    message: /password is lost.*Delete/
  })
})
