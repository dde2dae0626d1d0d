/** What really reached PostgreSQL and Redis, by their own books, not by ours. */
import { readFile } from 'node:fs/promises'
import { Redis } from 'ioredis'
import type { TestGateway } from './gateway.js'

type Scope = { teardown: (fn: () => unknown) => unknown }

export interface Traffic {
  /** Lines of PostgreSQL's log since the last call: every statement with its parameters. */
  readonly statements: () => Promise<string[]>
  /** Commands with their arguments since the last call. */
  readonly commands: () => Promise<string[]>
}

export async function watchTraffic(t: Scope, { sql, postgres, redis }: TestGateway): Promise<Traffic> {
  if (redis === null) throw new Error('there is no Redis to watch')
  await sql`alter system set log_statement = 'all'`
  await sql`alter system set log_parameter_max_length = -1`
  await sql`select pg_reload_conf()`

  const client = new Redis(redis.url)
  // A test may stop the server.
  client.on('error', () => {})
  t.teardown(() => client.disconnect())
  await client.config('SET', 'slowlog-max-len', 100_000)
  await client.config('SET', 'slowlog-log-slower-than', 0)

  let read = (await readFile(postgres.logFile)).length
  return {
    statements: async () => {
      const log = await readFile(postgres.logFile)
      const fresh = log.subarray(read).toString()
      read = log.length
      return fresh.split('\n')
    },
    commands: async () => {
      const entries = (await client.call('SLOWLOG', 'GET', '-1')) as [unknown, unknown, unknown, string[]][]
      await client.call('SLOWLOG', 'RESET')
      return entries.map(([, , , args]) => args.join(' '))
    }
  }
}
