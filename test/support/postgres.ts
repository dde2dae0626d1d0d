/**
 * A real PostgreSQL of its own for every test that asks: 127.0.0.1, free port, random password, gone with the test.
 * Creating a data directory takes a second, copying one does not: the first run on a machine makes a template,
 * kept in the temporary folder, named after what it was made with.
 */
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { findPostgresBinaries, type PostgresBinaries } from '../../src/data/postgres-binaries.js'
import { createCluster, freePort, launch, readPostmaster, stopPostmaster } from '../../src/data/postgres-cluster.js'
import { ended } from '../../src/data/unix-process.js'
import { SCRATCH } from './scratch.js'

const run = promisify(execFile)

/**
 * What the server does with a commit stays as in production except for fsync: a killed server keeps what it confirmed.
 */
const SETTINGS = {
  fsync: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: 0,
  autovacuum: 'off',
  io_method: 'sync',
  shared_buffers: '32MB',
  max_connections: 200
}

const ROLE = 'gateway'

export interface TestPostgres {
  /** As the owner of an empty database, not a superuser: what a gateway is given. */
  readonly url: string
  readonly superUrl: string
  readonly port: number
  /** What the server writes to its standard error. */
  readonly logFile: string
  stop: () => Promise<void>
  /** Stops the server if it runs, and starts it on the same port. */
  restart: () => Promise<void>
  /** SIGKILL to all its processes. */
  kill9: () => Promise<void>
  /** SIGSTOP to all its processes: connections stay open and nothing answers. */
  pause: () => Promise<void>
  resume: () => Promise<void>
}

type Scope = { teardown: (fn: () => unknown) => unknown }

export async function startPostgres(scope: Scope): Promise<TestPostgres> {
  const binaries = await findPostgresBinaries()
  const home = await mkdirs(join(tmpdir(), `session-gateway-test-${process.getuid?.() ?? 0}`))
  const runs = await mkdirs(join(SCRATCH, `session-gateway-run-${process.getuid?.() ?? 0}`))
  await sweep(runs)
  const template = await templateIn(home, binaries)
  const dir = await mkdtemp(join(runs, `${process.pid}-`))
  const dataDir = join(dir, 'data')
  await copyTree(join(template, 'data'), dataDir)
  const password = (await readFile(join(template, 'password'), 'utf8')).trim()
  const logFile = join(dir, 'log')

  const start = (port: number): Promise<number> => launch(binaries, { dataDir, logFile, port, settings: SETTINGS })
  let { pid, port } = await startOnFreePort(start)
  let paused: number[] = []

  const server: TestPostgres = {
    url: `postgres://${ROLE}:${password}@127.0.0.1:${port}/${ROLE}`,
    superUrl: `postgres://postgres:${password}@127.0.0.1:${port}/${ROLE}`,
    port,
    logFile,
    stop: async () => {
      await server.resume()
      await stopPostmaster(pid)
    },
    restart: async () => {
      await server.stop()
      pid = await start(port)
    },
    kill9: async () => {
      const pids = [pid, ...(await childrenOf(pid))]
      pids.forEach(each => signal(each, 'SIGKILL'))
      paused = []
      for (const each of pids) await ended(each, 5_000)
    },
    pause: async () => {
      // The parent first: nobody new is born while the children are counted.
      signal(pid, 'SIGSTOP')
      paused = [pid, ...(await childrenOf(pid))]
      paused.forEach(each => signal(each, 'SIGSTOP'))
    },
    resume: async () => {
      paused.forEach(each => signal(each, 'SIGCONT'))
      paused = []
    }
  }
  scope.teardown(async () => {
    await server.resume()
    await stopPostmaster(pid, { fastMs: 3_000 })
    await rm(dir, { recursive: true, force: true })
  })
  return server
}

async function startOnFreePort(start: (port: number) => Promise<number>): Promise<{ pid: number; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      return { pid: await start(port), port }
    } catch (error) {
      // Another test process may have taken the port in between.
      if (attempt === 5) throw error
    }
  }
}

/** A data directory with the role and its empty database, and the password both roles have. */
async function templateIn(home: string, binaries: PostgresBinaries): Promise<string> {
  const { size, mtimeMs } = await stat(binaries.postgres)
  const name = createHash('sha256').update(`1 ${binaries.postgres} ${size} ${mtimeMs}`).digest('hex').slice(0, 12)
  const target = join(home, `template-${name}`)
  if ((await readFile(join(target, 'password'), 'utf8').catch(() => null)) !== null) return target

  const fresh = await mkdtemp(join(home, 'new-'))
  const dataDir = join(fresh, 'data')
  const password = randomBytes(18).toString('base64url')
  await createCluster(binaries, dataDir, password)
  const pid = await launch(binaries, {
    dataDir,
    logFile: join(fresh, 'log'),
    port: await freePort(),
    settings: SETTINGS
  })
  const port = (await readPostmaster(dataDir))?.port
  const sql = postgres(`postgres://postgres:${password}@127.0.0.1:${port}/postgres`, { max: 1, onnotice: () => {} })
  await sql.unsafe(`create role ${ROLE} login password '${password}'`)
  await sql.unsafe(`create database ${ROLE} owner ${ROLE}`)
  await sql.end()
  await stopPostmaster(pid)
  await writeFile(join(fresh, 'password'), password, { mode: 0o600 })
  await rename(fresh, target).catch(async () => {
    // Another test process was faster.
    await rm(fresh, { recursive: true })
  })
  return target
}

/** Servers of test processes that were killed before they could clean up. */
async function sweep(runDir: string): Promise<void> {
  for (const name of await readdir(runDir).catch(() => [])) {
    if (signal(Number(name.split('-')[0]), 0)) continue
    const dir = join(runDir, name)
    const postmaster = await readPostmaster(join(dir, 'data'))
    if (postmaster !== null) await stopPostmaster(postmaster.pid, { fastMs: 1_000 })
    await rm(dir, { recursive: true, force: true })
  }
}

/** Every backend leads a process group of its own, so that the parent's group is the parent alone. */
async function childrenOf(pid: number): Promise<number[]> {
  const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid=']).catch(readProc)
  const rows = stdout.split('\n').map(line => line.trim().split(/\s+/).map(Number))
  return rows.filter(([, parent]) => parent === pid).map(([child]) => child as number)
}

/** Small Linux images have no `ps`. */
async function readProc(): Promise<{ stdout: string }> {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
  const lines = pids.map(async pid => {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
    return `${pid} ${stat.slice(stat.lastIndexOf(')')).split(' ')[2] ?? ''}`
  })
  return { stdout: (await Promise.all(lines)).join('\n') }
}

function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, name)
    return true
  } catch {
    return false
  }
}

async function copyTree(from: string, to: string): Promise<void> {
  await run('cp', ['-pR', from, to])
}

async function mkdirs(path: string): Promise<string> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  return path
}
