/**
 * `npm run soak [-- --minutes 30] [-- --seed 7]`: two gateways of their own under load while PostgreSQL, Redis, links,
 * an upstream and a gateway fail at random. Exit 1 when an answer was wrong or something leaked, 2 when it could not be
 * run. What it starts ends with it. Linux, as it reads /proc.
 */
import { parseArgs } from 'node:util'
import { type Fault, FAULTS } from './faults.js'
import { Random } from './random.js'
import { table } from './report.js'
import { runSoak } from './soak.js'

/** Longer than a heartbeat lives, some longer than every time-out. */
const HOLD_MS = [1_000, 9_000] as const
/** Recovery, and then some health. */
const PAUSE_MS = [8_000, 14_000] as const

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { minutes: { type: 'string', default: '30' }, seed: { type: 'string', default: String(Date.now() % 1e6) } }
  })
  const [minutes, seed] = [Number(values.minutes), Number(values.seed)]
  if (!(minutes >= 1) || !Number.isInteger(seed)) {
    throw new Error('npm run soak [-- --minutes <at least 1>] [-- --seed <whole number>]')
  }
  const random = new Random(seed)
  console.log(`${minutes} minutes, --seed ${seed}`)

  const closing: (() => unknown)[] = []
  process.once('SIGINT', () => void closeAll(closing).then(() => process.exit(2)))
  try {
    const scope = { teardown: (close: () => unknown) => closing.push(close) }
    const timing = { minutes, mostPerSecond: 600, hold: HOLD_MS, pause: PAUSE_MS }
    const result = await runSoak(scope, { random, faults: deck(random), ...timing, onLine: line => console.log(line) })
    console.log(table(result))
    return result.asker.violated > 0 ? 1 : 0
  } finally {
    await closeAll(closing)
  }
}

/** Each once, in an order of its own, and again. */
function* deck(random: Random): Generator<Fault> {
  for (;;) yield* random.shuffled(FAULTS)
}

async function closeAll(closing: (() => unknown)[]): Promise<void> {
  for (let close = closing.pop(); close !== undefined; close = closing.pop()) await close()
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error)
  return 2
})
