/** The order of measurements and the proof of what was measured; the generator is a stand-in that notes its orders. */
import t from 'tap'
import type { Measurement, Order } from '../../../bench/load.js'
import { expectedSeconds, pairsOf, runRounds } from '../../../bench/rounds.js'
import { catalogue, reference } from '../../../bench/scenarios/catalogue.js'
import type { Gate, Scenario } from '../../../bench/scenarios/scenario.js'
import { seededSessions } from '../../../bench/sessions.js'
import type { Stack } from '../../../bench/stack.js'

const options = {
  quick: false,
  only: null,
  rounds: 2,
  turns: 2,
  connections: 64,
  firstSeconds: 1,
  warmUpSeconds: 0.5,
  seconds: 2
}

const measurement: Measurement = {
  requests: 1_000,
  rps: 100,
  p50: 10,
  p99: 20,
  cpu: {},
  statuses: {},
  errors: { connection: 0, timeout: 0, status: 0, dropped: 0 }
}

/** Runs rounds over `scenarios`; `lookups` is what each gate's metrics say at every reading. */
async function run(scenarios: readonly Scenario[], lookups: Gate['lookups'] = null) {
  const orders: Order[] = []
  const gateOf = (name: string, port: number): Gate => ({
    origin: `http://${name}:${port}`,
    pids: [],
    lookups,
    tidy: async () => undefined
  })
  const gates = new Map(scenarios.map(scenario => [scenario, gateOf(scenario.name, 1)]))
  const pairs = pairsOf(scenarios)
  const slots = await runRounds({
    options,
    stack: { upstream: { url: '', pid: 1 }, sessions: seededSessions() } as unknown as Stack,
    gates,
    references: Array.from({ length: pairs }, (_, i) => ({ ...gateOf(reference.name, i + 1), lookups: null })),
    onSlot: () => undefined,
    generator: async order => {
      orders.push(order)
      return measurement
    }
  })
  const names = orders.map(({ url }) => new URL(url).hostname)
  const warmUps = scenarios.length - 1 + pairs
  return { slots, warmUp: orders.slice(0, warmUps), names: names.slice(warmUps), orders: orders.slice(warmUps) }
}

t.test('every scenario is measured once a round, next to a measurement of the reference', async t => {
  const scenarios = catalogue
    .map(scenario => ({ ...scenario, source: null }))
    .filter(({ name }) => name !== reference.name)
  const { slots, names, warmUp, orders } = await run([reference, ...scenarios])

  const used = [...new Set(orders.map(({ url }) => new URL(url).host))]
  t.strictSame(warmUp.map(({ url }) => new URL(url).host).toSorted(), used.toSorted(), 'each was run hot first')
  const references = orders.filter(({ url }) => new URL(url).hostname === reference.name)
  const rested = new Set(references.slice(0, references.length / 4).map(({ url }) => url))
  t.equal(rested.size, references.length / 4, 'no reference is measured twice a turn')
  for (const { name } of scenarios) {
    const places = names.flatMap((each, index) => (each === name ? [index] : []))
    t.equal(places.length, 4, name)
    for (const place of places) {
      t.ok([names[place - 1], names[place + 1]].includes(reference.name), `${name} has the reference beside it`)
    }
  }
  t.equal(slots.length, names.length)
  t.ok(slots.every(({ beside, scenario }) => (beside === null) === (scenario === reference)))
})

t.test('a lone reference is measured too', async t => {
  const { names } = await run([reference])

  t.strictSame(
    names,
    Array.from({ length: 4 }, () => reference.name)
  )
})

t.test('the estimate of the time covers every measurement', async t => {
  const { orders, warmUp } = await run(
    catalogue.map(scenario => (scenario === reference ? scenario : { ...scenario, source: null }))
  )

  const seconds = [...warmUp, ...orders].reduce((sum, order) => sum + order.seconds + order.warmUpSeconds, 0)
  const expected = expectedSeconds(options, catalogue)
  t.ok(expected > seconds && expected < seconds * 1.3, `${expected} for ${seconds}`)
})

t.test('a scenario whose look-ups come from elsewhere fails the run', async t => {
  const gateway = catalogue.find(({ source }) => source === 'redis') as Scenario
  let readings = 0

  await t.rejects(
    run([reference, gateway], async () => ({ postgres: 1_200 * readings++ })),
    /gateway-redis.*look-ups were: postgres 1200/
  )
})

t.test('fewer look-ups than requests fail the run: something else has answered', async t => {
  const gateway = catalogue.find(({ source }) => source === 'redis') as Scenario
  let readings = 0

  await t.rejects(
    run([reference, gateway], async () => ({ redis: 999 * readings++ })),
    /1000 requests, but look-ups were: redis 999/
  )
})

t.test('look-ups on a public route fail the run', async t => {
  const gateway = catalogue.find(({ source }) => source === 'none') as Scenario
  let readings = 0

  await t.rejects(
    run([reference, gateway], async () => ({ redis: readings++ })),
    /look-ups were: redis 1/
  )
})
