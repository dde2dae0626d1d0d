/** What stands around every gate: the upstream, a PostgreSQL and a Redis of their own in a temporary folder. */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import postgres from 'postgres'
import { findPostgresBinaries } from '../src/data/postgres-binaries.js'
import { createCluster, freePort, launch, stopPostmaster } from '../src/data/postgres-cluster.js'
import type { Placement } from './placement.js'
import { failure, onEnd, reportedPort, start } from './processes.js'
import { type SeededSession, seededSessions } from './sessions.js'

const PASSWORD = 'bench'

const STORES = [
  'gateway',
  'gateway_shared',
  'gateway_workers',
  'nginx_door',
  'caddy_door',
  'better_auth',
  'better_auth_drizzle',
  'better_auth_redis',
  'ttl_cache',
  'auth_service',
  'cold',
  'revoked',
  'flooded',
  'small',
  'large'
] as const
export type StoreName = (typeof STORES)[number]

export interface Stack {
  readonly folder: string
  readonly placement: Placement
  readonly upstream: { readonly url: string; readonly pid: number }
  /** One database per kind of gate: each has the tables its own migrations make. */
  readonly databaseUrl: (name: StoreName) => string
  /** Logical databases of one server. */
  readonly redisUrl: (name: StoreName) => string
  readonly sessions: readonly SeededSession[]
  readonly versions: { readonly postgres: string; readonly redis: string }
}

export async function startStack(placement: Placement): Promise<Stack> {
  const folder = await mkdtemp(join(tmpdir(), 'session-gateway-bench-'))
  onEnd(() => rm(folder, { recursive: true, force: true }))
  // PostgreSQL does not run as root; whom it runs as must be able to enter.
  await chmod(folder, 0o711)
  const databases = await startPostgres(folder)
  const redis = await startRedis(folder)
  const upstream = await start({ name: 'upstream', command: [process.execPath, server('upstream')], ipc: true })
  return {
    folder,
    placement,
    upstream: { url: `http://127.0.0.1:${await reportedPort(upstream)}`, pid: upstream.pid },
    databaseUrl: name => databases.url(name),
    redisUrl: name => redis.url(name),
    sessions: seededSessions(),
    versions: { postgres: databases.version, redis: redis.version }
  }
}

/** The path of one of the programs in `servers/`. */
export function server(name: string): string {
  return join(import.meta.dirname, 'servers', `${name}.mjs`)
}

async function startPostgres(folder: string): Promise<{ url: (name: string) => string; version: string }> {
  const binaries = await findPostgresBinaries()
  const dataDir = join(folder, 'postgres')
  await createCluster(binaries, dataDir, PASSWORD)
  const port = await freePort()
  const pid = await launch(binaries, {
    dataDir,
    logFile: join(folder, 'postgres.log'),
    port,
    // Every gate has a pool of its own, and most are open at the same time.
    settings: { max_connections: 300 }
  })
  onEnd(() => stopPostmaster(pid))

  const url = (name: string) => `postgres://postgres:${PASSWORD}@127.0.0.1:${port}/${name}`
  const sql = postgres(url('postgres'), { max: 1 })
  for (const name of STORES) await sql`create database ${sql(name)}`
  const [row] = await sql<{ version: string }[]>`select current_setting('server_version') as version`
  await sql.end()
  return { url, version: row?.version ?? 'unknown' }
}

async function startRedis(folder: string): Promise<{ url: (name: StoreName) => string; version: string }> {
  const port = await freePort()
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder]
  const { child } = await start({ name: 'redis', command: ['redis-server', ...settings] }).catch((cause: unknown) => {
    throw new Error('redis-server is needed on PATH for the benchmark (apt-get install redis-server)', { cause })
  })
  child.stderr?.resume()
  const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 50 })
  client.on('error', () => undefined)
  await Promise.race([new Promise(resolve => client.once('ready', resolve)), failure(child)])
  const version = /redis_version:(\S+)/.exec(await client.info('server'))?.[1] ?? 'unknown'
  client.disconnect()
  return { url: name => `redis://127.0.0.1:${port}/${STORES.indexOf(name)}`, version }
}
