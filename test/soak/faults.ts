/** What is done to the cluster, one at a time. Each ends what it began; `hold` waits as long as the fault is to last. */
import { Redis } from 'ioredis'
import type { Sql } from 'postgres'
import type { FlakyLink } from '../support/flaky-link.js'
import type { Cluster } from './cluster.js'

export interface Fault {
  readonly name: string
  /** While it lasts no node can be told of a commit. */
  readonly hidesPostgres?: true
  /** This process can tell nothing while it lasts. */
  readonly silences?: 'a'
  readonly run: (cluster: Cluster, hold: () => Promise<unknown>) => Promise<unknown>
}

/** Nobody listens there. */
const NOWHERE = 1

export const FAULTS: readonly Fault[] = [
  {
    name: 'PostgreSQL stopped',
    hidesPostgres: true,
    run: ({ postgres }, hold) => during(postgres.stop, hold, postgres.restart)
  },
  {
    name: 'PostgreSQL killed',
    hidesPostgres: true,
    run: ({ postgres }, hold) => during(postgres.kill9, hold, postgres.restart)
  },
  {
    name: 'PostgreSQL frozen',
    hidesPostgres: true,
    run: ({ postgres }, hold) => during(postgres.pause, hold, postgres.resume)
  },
  {
    name: 'connections to PostgreSQL ended',
    run: async ({ sql }, hold) => {
      await sql`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'gateway'`
      await hold()
    }
  },
  {
    name: 'LISTEN lost',
    run: async ({ sql }, hold) => {
      await sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%listen'`
      await hold()
    }
  },
  { name: 'sessions locked for writing', run: ({ sql }, hold) => withLock(sql, 'exclusive', hold) },
  { name: 'sessions locked', run: ({ sql }, hold) => withLock(sql, 'access exclusive', hold) },
  { name: 'a transaction left open', run: leaveTransactionOpen },
  {
    name: 'Redis killed',
    run: ({ redis }, hold) => during(redis.kill9, hold, redis.restart)
  },
  {
    name: 'Redis frozen',
    run: ({ redis }, hold) => during(redis.pause, hold, redis.resume)
  },
  {
    name: 'Redis flushed',
    run: (cluster, hold) => withRedis(cluster, client => client.flushall().then(hold))
  },
  {
    name: 'Redis full',
    run: (cluster, hold) =>
      withRedis(cluster, client =>
        during(
          () => client.config('SET', 'maxmemory', '1'),
          hold,
          () => client.config('SET', 'maxmemory', '0')
        )
      )
  },
  { name: 'b cut off Redis', run: ({ redisLink, redis }, hold) => withCut(redisLink, redis.port, hold) },
  {
    name: 'b cut off PostgreSQL',
    run: ({ postgresLink, postgres }, hold) => withCut(postgresLink, postgres.port, hold)
  },
  { name: 'Redis silent to b', run: ({ redisLink }, hold) => withSilence(redisLink, hold) },
  { name: 'PostgreSQL silent to b', run: ({ postgresLink }, hold) => withSilence(postgresLink, hold) },
  {
    name: 'both databases killed',
    hidesPostgres: true,
    run: ({ postgres, redis }, hold) =>
      during(
        () => Promise.all([postgres.kill9(), redis.kill9()]),
        hold,
        () => Promise.all([postgres.restart(), redis.restart()])
      )
  },
  {
    name: 'a killed',
    silences: 'a',
    run: ({ a }, hold) =>
      during(
        () => a.kill9(),
        hold,
        () => a.start()
      )
  },
  {
    name: 'a frozen',
    silences: 'a',
    run: ({ a }, hold) =>
      during(
        () => a.process.signal('SIGSTOP'),
        hold,
        () => a.process.signal('SIGCONT')
      )
  },
  { name: 'upstream killed', run: ({ plain }, hold) => during(plain.kill, hold, plain.start) }
]

async function during(begin: () => unknown, hold: () => Promise<unknown>, end: () => unknown): Promise<void> {
  try {
    await begin()
    await hold()
  } finally {
    await end()
  }
}

async function withLock(sql: Sql, mode: 'exclusive' | 'access exclusive', hold: () => Promise<unknown>): Promise<void> {
  await sql.begin(async lock => {
    await lock.unsafe(`lock table auth.session in ${mode} mode`)
    await hold()
  })
}

/** One that has written, so that every snapshot has to name it. */
async function leaveTransactionOpen({ sql }: Cluster, hold: () => Promise<unknown>): Promise<void> {
  await sql.begin(async open => {
    await open`insert into auth."user" (id, name, email) values (gen_random_uuid()::text, 'Open', gen_random_uuid()::text)`
    await hold()
  })
}

async function withRedis({ redis }: Cluster, use: (client: Redis) => Promise<unknown>): Promise<void> {
  const client = new Redis(redis.url)
  try {
    await use(client)
  } finally {
    client.disconnect()
  }
}

async function withCut(link: FlakyLink, port: number, hold: () => Promise<unknown>): Promise<void> {
  link.leadTo(NOWHERE)
  link.cut()
  await hold()
  link.leadTo(port)
}

async function withSilence(link: FlakyLink, hold: () => Promise<unknown>): Promise<void> {
  link.stall()
  await hold()
  // What was lost stays lost, so nothing that was open is of use any more.
  link.resume()
  link.cut()
}
