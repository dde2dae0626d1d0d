/** A thousand sessions in the table against a million, PostgreSQL asked for every request. */
import { createHash } from 'node:crypto'
import postgres from 'postgres'
import { failuresIn, type Measurement } from '../load.js'
import { failure } from '../processes.js'
import { untilAnswered } from '../ready.js'
import { type GatewayGate, launchGateway, migrate } from '../scenarios/open-gateway.js'
import { cookieOf, SECRET } from '../sessions.js'
import type { Stack } from '../stack.js'
import { alternate, cpuRatios, figure, ratios, type Shape, type ShapeContext } from './shape.js'

const SMALL = 1_000
const LARGE = 1_000_000
const SESSIONS_PER_USER = 10
/** In rotation, spread over the whole table. */
const ASKED = 1_000

export const tableSize: Shape = {
  name: 'table-size',
  what: 'consistency: strict with 1,000 and with 1,000,000 sessions in the table, those asked for spread over all of it',
  seconds: ({ rounds, firstSeconds, seconds, warmUpSeconds }) =>
    60 + 2 * firstSeconds + rounds * 2 * (seconds + warmUpSeconds),
  run: async context => {
    const small = await openTable(context.stack, 'small', SMALL)
    const large = await openTable(context.stack, 'large', LARGE)
    const { firstSeconds, rounds } = context.options
    for (const each of [small, large]) await measure(context, each, firstSeconds)
    const pairs = await alternate(
      rounds,
      () => measure(context, small),
      () => measure(context, large)
    )
    for (const { gate } of [small, large]) await gate.stop()
    return { figures: figuresOf(pairs), problems: failuresIn(pairs.flat()) }
  }
}

function figuresOf(pairs: readonly [Measurement, Measurement][]) {
  const speed = (which: 0 | 1) => pairs.map(pair => pair[which].rps)
  return {
    'with 1,000 sessions': figure(speed(0), 'requests/s', null),
    'with 1,000,000 sessions': figure(speed(1), 'requests/s', null),
    'requests per second, large ÷ small': figure(
      ratios(pairs, ({ rps }) => rps),
      '×',
      'higher'
    ),
    'p99, large ÷ small': figure(
      ratios(pairs, ({ p99 }) => p99),
      '×',
      'lower'
    ),
    'gate CPU, large ÷ small': figure(cpuRatios(pairs), '×', 'lower')
  }
}

interface Table {
  readonly gate: GatewayGate
  readonly cookies: readonly string[]
}

async function openTable(stack: Stack, store: 'small' | 'large', size: number): Promise<Table> {
  await migrate(stack, store)
  await fill(stack.databaseUrl(store), size)
  const gate = await launchGateway(stack, store, { SESSION_LOCAL_LEASE: '0' })
  await Promise.race([untilAnswered(`${gate.origin}/readyz`, 200), failure(gate.child)])
  const cookies = Array.from({ length: ASKED }, (_, index) => {
    const number = 1 + Math.floor((index * size) / ASKED)
    return cookieOf(createHash('md5').update(`token ${number}`).digest('hex'), SECRET)
  })
  return { gate, cookies }
}

/** In the database, as a million rows over the wire take minutes. */
async function fill(url: string, size: number): Promise<void> {
  const users = size / SESSIONS_PER_USER
  const sql = postgres(url, { max: 1, onnotice: () => undefined })
  try {
    await sql`
      insert into auth."user" (id, name, email, email_verified, role)
      select md5('user ' || n), 'Bench', 'user-' || n || '@bench.example', true, 'user'
      from generate_series(1, ${users}::int) n`
    await sql`
      insert into auth.session (id, token, user_id, expires_at, ip_address, user_agent)
      select md5('session ' || n), md5('token ' || n), md5('user ' || 1 + n % ${users}::int), now() + interval '7 days', '', 'bench'
      from generate_series(1, ${size}::int) n`
    // As autovacuum leaves a table behind that has been there for a while.
    await sql`vacuum analyze`
    // Or it would be written out while we measure.
    await sql`checkpoint`
  } finally {
    await sql.end()
  }
}

async function measure(
  { generator, options, stack }: ShapeContext,
  { gate, cookies }: Table,
  seconds = options.seconds
): Promise<Measurement> {
  await gate.tidy()
  const { connections, warmUpSeconds } = options
  const watch = { upstream: [stack.upstream.pid], gate: gate.pids }
  return generator({ url: `${gate.origin}/strict/orders/7`, connections, warmUpSeconds, seconds, cookies, watch })
}
