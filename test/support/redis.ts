/**
 * A real Redis (or Valkey) of its own for a test: free port, nothing kept on disk, gone with the test.
 * A machine without a server fails here with the way to get one; a skipped test would prove nothing.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../src/data/postgres-cluster.js'
import { SCRATCH } from './scratch.js'

const PROGRAMS = ['redis-server', 'valkey-server']
const DIR = 'session-gateway-redis-'
const START_DEADLINE_MS = 10_000
const MISSING =
  'No redis-server and no valkey-server on PATH. Install one: apt-get install redis-server, brew install redis, or apk add redis.'

export interface TestRedis {
  readonly url: string
  readonly port: number
  /** SIGTERM, and waits for the end. */
  stop: () => Promise<void>
  /** Ends the server if it runs; starts an empty one on the same port. */
  restart: () => Promise<void>
  kill9: () => Promise<void>
  /** SIGSTOP: connections stay open and nothing answers. */
  pause: () => void
  resume: () => void
}

export interface RedisOptions {
  /** Further arguments of the server: `['--maxmemory', '2mb']`. */
  readonly args?: readonly string[]
  /** Text of a sentinel.conf: the server is a Sentinel. */
  readonly sentinel?: string
}

type Scope = { teardown: (fn: () => unknown) => unknown }

export async function startRedis(scope: Scope, options: RedisOptions = {}): Promise<TestRedis> {
  await sweep()
  const dir = await mkdtemp(join(SCRATCH, `${DIR}${process.pid}-`))
  const { child: first, port } = await launchOnFreePort(dir, options)
  let child = first

  const server: TestRedis = {
    url: `redis://127.0.0.1:${port}`,
    port,
    stop: () => end(child, 'SIGTERM'),
    restart: async () => {
      await server.stop()
      child = await launch(dir, port, options)
    },
    kill9: () => end(child, 'SIGKILL'),
    pause: () => {
      child.kill('SIGSTOP')
    },
    resume: () => {
      child.kill('SIGCONT')
    }
  }
  scope.teardown(async () => {
    await end(child, 'SIGKILL')
    await rm(dir, { recursive: true, force: true })
  })
  return server
}

async function launchOnFreePort(dir: string, options: RedisOptions): Promise<{ child: ChildProcess; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      return { child: await launch(dir, port, options), port }
    } catch (error) {
      // Another test process may have taken the port in between.
      if (attempt === 5 || (error as Error).message === MISSING) throw error
    }
  }
}

async function launch(dir: string, port: number, { args = [], sentinel }: RedisOptions): Promise<ChildProcess> {
  const config = join(dir, 'redis.conf')
  await writeFile(config, sentinel ?? 'save ""\nappendonly no\n')
  const own = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--pidfile', join(dir, 'pid')]
  const all = [config, ...(sentinel === undefined ? [] : ['--sentinel']), ...own, ...args]
  for (const program of PROGRAMS) {
    const child = spawn(program, all, { stdio: ['ignore', 'pipe', 'pipe'] })
    let log = ''
    child.stdout.on('data', text => (log += String(text)))
    child.stderr.on('data', text => (log += String(text)))
    const spawned = await once(child, 'spawn').then(
      () => true,
      () => false
    )
    if (!spawned) continue
    const onExit = () => child.kill('SIGKILL')
    process.once('exit', onExit)
    child.once('exit', () => process.off('exit', onExit))
    if (await answers(child, port)) return child
    child.kill('SIGKILL')
    throw new Error(`${program} did not start: ${log.slice(-500)}`)
  }
  throw new Error(MISSING)
}

async function answers(child: ChildProcess, port: number): Promise<boolean> {
  const deadline = performance.now() + START_DEADLINE_MS
  while (child.exitCode === null && performance.now() < deadline) {
    if (/^(\+PONG|-NOAUTH)/.test(await ask(port))) return true
    await sleep(10)
  }
  return false
}

function ask(port: number): Promise<string> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    socket.once('data', data => {
      socket.destroy()
      resolve(String(data))
    })
    socket.once('error', () => resolve(''))
  })
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill(signal)
  // A stopped process takes no SIGTERM until it goes on.
  child.kill('SIGCONT')
  await gone
}

/** Servers of test processes that were killed before they could clean up. */
async function sweep(): Promise<void> {
  for (const name of await readdir(SCRATCH)) {
    const owner = Number(name.startsWith(DIR) ? name.slice(DIR.length).split('-')[0] : '')
    if (!(owner > 0) || isAlive(owner)) continue
    const dir = join(SCRATCH, name)
    const pid = Number(await readFile(join(dir, 'pid'), 'utf8').catch(() => ''))
    // By now the number may belong to any other process; where nobody can tell, it is left alone.
    const isOurs = pid > 0 && (await readlink(`/proc/${pid}/cwd`).catch(() => '')) === dir
    if (isOurs) process.kill(pid, 'SIGKILL')
    await rm(dir, { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
