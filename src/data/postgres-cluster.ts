/**
 * One PostgreSQL data directory and the server on it: create, start, stop, find out what runs there.
 * The server gets its own process group, so that Ctrl-C in a terminal reaches the gateway alone and the
 * database is still there while requests drain. Status and port are read from `postmaster.pid`, which the
 * server itself keeps.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, lchown, mkdir, open, readdir, readFile, readlink, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PostgresBinaries, UnixUser } from './postgres-binaries.js'
import { ended, isAlive, sendSignal } from './unix-process.js'

export const SUPERUSER = 'postgres'

/** A setting of no meaning to the server, which writes its own command line down: who started it. */
const OWNER = 'session_gateway.owner'
const START_DEADLINE_MS = 30_000
const POLL_MS = 10

export interface Postmaster {
  readonly pid: number
  readonly port: number
  readonly status: 'starting' | 'ready' | 'stopping' | 'standby'
  /** Process id of the gateway that started it, dead or alive; 0 for a server nobody of us started. */
  readonly owner: number
}

export interface LaunchOptions {
  readonly dataDir: string
  readonly logFile: string
  readonly port: number
  readonly settings?: Readonly<Record<string, string | number>>
  /** Called when the server ends after it has started, whoever ended it. */
  readonly onExit?: () => void
}

/**
 * As root the server runs as somebody who may not even enter the folders above its data. The link
 * `/proc/self/cwd` leads there without passing through them; elsewhere the path itself must be open.
 */
function ownPath(binaries: PostgresBinaries, folder: string): string {
  return binaries.runAs !== null && process.platform === 'linux' ? '/proc/self/cwd' : folder
}

/** Makes a new data directory. Prepared beside it and renamed: a crash leaves nothing half made. */
export async function createCluster(binaries: PostgresBinaries, dataDir: string, password: string): Promise<void> {
  const stage = `${dataDir}.${process.pid}`
  const fresh = join(stage, 'data')
  await mkdir(fresh, { recursive: true, mode: 0o700 })
  try {
    await writeFile(join(stage, 'password'), password, { mode: 0o600 })
    if (binaries.runAs !== null) {
      const { uid, gid } = binaries.runAs
      for (const path of [stage, fresh, join(stage, 'password')]) await chown(path, uid, gid)
    }
    const own = ownPath(binaries, fresh)
    // The builtin locale is the same on every machine and independent of what the system has installed.
    const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
    const files = [`--pgdata=${own}`, `--pwfile=${own}/../password`, '--wal-segsize=1']
    const access = [`--username=${SUPERUSER}`, '--auth=scram-sha-256']
    await runToEnd(binaries, [...files, ...access, ...locale], fresh)
    await rename(fresh, dataDir)
  } finally {
    await rm(stage, { recursive: true, force: true })
  }
}

async function runToEnd(binaries: PostgresBinaries, args: readonly string[], cwd: string): Promise<void> {
  const child = spawn(binaries.initdb, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'], ...binaries.runAs })
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text
  })
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`initdb failed: ${complaint.trim()}`)
}

/** Resolves with the process id when connections are accepted. Rejects with the end of the server's log. */
export async function launch(binaries: PostgresBinaries, options: LaunchOptions): Promise<number> {
  const { dataDir, logFile, port } = options
  if ((await readPostmaster(dataDir)) === null) await rm(join(dataDir, 'postmaster.pid'), { force: true })
  const log = await open(logFile, 'w', 0o600)
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    [OWNER]: process.pid,
    // The log is a file on somebody's disk: no statements in it, and no values of rows.
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
    ...options.settings
  }
  const args = ['-D', ownPath(binaries, dataDir), '-p', String(port)]
  for (const [name, value] of Object.entries(settings)) args.push('-c', `${name}=${value}`)
  const child = spawn(binaries.postgres, args, {
    cwd: dataDir,
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
    ...binaries.runAs
  })
  await once(child, 'spawn')
  await log.close()

  const pid = child.pid as number
  const deadline = performance.now() + START_DEADLINE_MS
  while (child.exitCode === null && child.signalCode === null && performance.now() < deadline) {
    const postmaster = await readPostmaster(dataDir)
    if (postmaster?.pid === pid && postmaster.status === 'ready') {
      if (options.onExit !== undefined) child.once('exit', options.onExit)
      return pid
    }
    await sleep(POLL_MS)
  }
  if (await isAlive(pid)) await stopPostmaster(pid)
  const words = (await readFile(logFile, 'utf8')).trim().split('\n').slice(-5).join('\n')
  throw new Error(`PostgreSQL did not start: ${words}`)
}

/** What `postmaster.pid` says, or null where there is none or its process is not a server on this directory. */
export async function readPostmaster(dataDir: string): Promise<Postmaster | null> {
  const text = await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '')
  const [pid, , , port, , , , status] = text.split('\n').map(line => line.trim())
  if (!(await isServerOn(Number(pid), dataDir))) return null
  const command = await readFile(join(dataDir, 'postmaster.opts'), 'utf8').catch(() => '')
  const owner = Number(new RegExp(`${OWNER}=(\\d+)`).exec(command)?.[1] ?? 0)
  return { pid: Number(pid), port: Number(port), status: (status || 'starting') as Postmaster['status'], owner }
}

/** After a crash the number in the file may belong to any other process by now. */
async function isServerOn(pid: number, dataDir: string): Promise<boolean> {
  if (!(pid > 0) || !(await isAlive(pid))) return false
  if (process.platform !== 'linux') return true
  // Unknown counts as running: two servers on one directory would destroy it.
  const cwd = await readlink(`/proc/${pid}/cwd`).catch((error: NodeJS.ErrnoException) =>
    error.code === 'ENOENT' ? null : dataDir
  )
  return cwd === dataDir
}

/** Fast shutdown: running transactions are rolled back, the data is left clean. Bounded, then without cleaning up. */
export async function stopPostmaster(pid: number, { fastMs = 10_000 } = {}): Promise<void> {
  const steps: [NodeJS.Signals, number][] = [
    ['SIGINT', fastMs],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000]
  ]
  for (const [signal, boundMs] of steps) {
    if (!(await isAlive(pid))) return
    sendSignal(pid, signal)
    if (await ended(pid, boundMs)) return
  }
}

const given = new Set<number>()

/**
 * `wanted` if it is free, else one below the range outgoing connections are given ports from: still ours after a
 * restart. None twice: whoever asks for two opens them later.
 */
export async function freePort(wanted = 0): Promise<number> {
  if (wanted > 0 && (await isFree(wanted))) return wanted
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    if (given.has(port)) continue
    given.add(port)
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise(resolve => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/**
 * PostgreSQL serves only data of the user it runs as, and who is root today was somebody else yesterday. No data: done.
 */
export async function takeOver(binaries: PostgresBinaries, dataDir: string): Promise<'done' | 'not ours'> {
  const user = binaries.runAs
  const uid = user?.uid ?? process.getuid?.()
  const found = await stat(dataDir).catch(() => null)
  if (uid === undefined || found === null || found.uid === uid) return 'done'
  if (user === null) return 'not ours'
  await chownTree(dataDir, user)
  return 'done'
}

async function chownTree(folder: string, user: UnixUser): Promise<void> {
  await chown(folder, user.uid, user.gid)
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await chownTree(path, user)
    else await lchown(path, user.uid, user.gid)
  }
}
