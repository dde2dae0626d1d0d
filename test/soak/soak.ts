/**
 * Two gateways under load while one thing after the other fails: does any answer say what must not be said, and does
 * anything gather that is not given back? Faults come one at a time, with a pause of health between two.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Changes } from './changes.js'
import { type Cluster, type Scope, startCluster } from './cluster.js'
import { Connections } from './connections.js'
import type { Fault } from './faults.js'
import { hasGrown, Leaks, SAMPLE_MS } from './leaks.js'
import { Asker } from './load.js'
import { People } from './people.js'
import type { Random } from './random.js'
import { RECOVERY_MS, Timeline } from './timeline.js'

/** Of health, at the end. */
const LAST_MS = RECOVERY_MS + 5_000
/** A session and its user change a few times at most. */
const MOST_ROWS = 5

export interface SoakOptions {
  readonly random: Random
  /** In this order, until there is none left or the time is over. */
  readonly faults: Iterable<Fault>
  readonly minutes: number
  readonly mostPerSecond: number
  /** How long a fault and a pause last, in ms: from, to. */
  readonly hold: readonly [number, number]
  readonly pause: readonly [number, number]
  readonly onLine: (line: string) => void
}

export interface SoakResult {
  readonly perSecond: number
  readonly asker: Asker
  readonly people: People
  readonly changes: Changes
  readonly connections: Connections
  readonly timeline: Timeline
  readonly leaks: Leaks
  /** Rows of the outbox: they are kept for an hour. */
  readonly outbox: number
}

export async function runSoak(t: Scope, options: SoakOptions): Promise<SoakResult> {
  const { random, onLine } = options
  const timeline = new Timeline()
  const cluster = await startCluster(t)
  const people = new People(cluster.sql, random)
  const asker = new Asker(cluster, people, timeline, random)
  const { violate } = asker
  const changes = new Changes(cluster, people, asker, random)
  const connections = new Connections(cluster, people, timeline, random)
  const leaks = new Leaks(cluster, timeline)

  await leaks.begin()
  await people.topUp()
  timeline.watchMachine(cluster.probe)
  const atFullSpeed = timeline.begin({ name: 'full speed, to measure it' })
  const perSecond = await asker.measure(options.mostPerSecond)
  atFullSpeed.to = performance.now()
  onLine(`${perSecond} requests per second, ${people.live.length} sessions`)
  const over = new AbortController()
  const load = [
    asker.run(perSecond),
    changes.run(),
    connections.run(violate),
    report(over.signal, { asker, leaks, timeline }, options)
  ]
  try {
    await Promise.race([failAndRecover(cluster, timeline, options), Promise.all(load)])
  } finally {
    over.abort()
    connections.stop()
    await changes.stop()
    await asker.stop()
    timeline.stop()
  }
  await Promise.all(load)
  cluster.plain.closeIdleConnections()
  for (const left of await leaks.leftOver()) violate(`left over when the load had ended: ${left}`)
  for (const growth of leaks.growth().filter(hasGrown)) violate(`memory has grown: ${JSON.stringify(growth)}`)
  const outbox = await outboxRows(cluster)
  if (outbox > MOST_ROWS * people.born) violate(`${outbox} rows are in the outbox, for ${people.born} sessions`)
  return { perSecond, asker, people, changes, connections, timeline, leaks, outbox }
}

async function failAndRecover(cluster: Cluster, timeline: Timeline, options: SoakOptions): Promise<void> {
  const { random, hold, pause, onLine } = options
  const end = performance.now() + options.minutes * 60_000 - LAST_MS
  await sleep(random.between(...pause))
  for (const fault of options.faults) {
    if (performance.now() > end) break
    const period = timeline.begin(fault)
    const ms = random.between(...hold)
    onLine(`${timeline.clock()} ${fault.name}, for ${(ms / 1_000).toFixed(1)} s`)
    await fault.run(cluster, () => sleep(ms))
    period.to = performance.now()
    await sleep(random.between(...pause))
  }
  await sleep(LAST_MS)
}

/** A line every ten seconds. */
async function report(
  signal: AbortSignal,
  { asker, leaks, timeline }: Pick<SoakResult, 'asker' | 'leaks' | 'timeline'>,
  { onLine }: SoakOptions
): Promise<void> {
  let before = new Map<number, number>()
  for (;;) {
    await sleep(SAMPLE_MS, null, { signal }).catch(() => {})
    if (signal.aborted) return
    const answers = [...asker.answers]
      .toSorted(([one], [other]) => one - other)
      .map(([status, count]) => `${status || 'none'} ${count - (before.get(status) ?? 0)}`)
    before = new Map(asker.answers)
    onLine(
      `${timeline.clock()} ${answers.join('  ')}  violations ${asker.violated}  ${await leaks.sample(asker.violate)}`
    )
  }
}

async function outboxRows({ sql }: Cluster): Promise<number> {
  const [row] = await sql`select count(*)::int as rows from auth.gateway_outbox`
  return Number(row?.['rows'])
}
