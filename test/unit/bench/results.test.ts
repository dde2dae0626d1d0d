/** What becomes of measurements: medians, pairwise ratios, errors that are not lost, the three files. */
import t from 'tap'
import type { Measurement } from '../../../bench/load.js'
import { svg } from '../../../bench/plot.js'
import { markdown } from '../../../bench/report.js'
import { problemsOf, summarise } from '../../../bench/results.js'
import type { Slot } from '../../../bench/rounds.js'
import { catalogue, reference } from '../../../bench/scenarios/catalogue.js'
import type { Scenario } from '../../../bench/scenarios/scenario.js'

const redis = catalogue.find(({ name }) => name === 'gateway-redis') as Scenario
const stock = catalogue.find(({ name }) => name === 'better-auth-get-session') as Scenario

function measured(rps: number, more: Partial<Measurement> = {}): Measurement {
  const errors = { connection: 0, timeout: 0, status: 0, dropped: 0 }
  return { requests: rps, rps, p50: 1_000, p99: 5_000, cpu: {}, statuses: {}, errors, ...more }
}

/** One round: the reference at `base`, ours and Better Auth's beside it. */
function round(number: number, base: number, ours: number, theirs: number): Slot[] {
  const beside = measured(base)
  return [
    { turn: number, scenario: reference, measurement: beside, beside: null, shares: {} },
    { turn: number, scenario: redis, measurement: measured(ours), beside, shares: { redis: 0.98, postgres: 0.02 } },
    { turn: number, scenario: stock, measurement: measured(theirs), beside, shares: {} }
  ]
}

/** One measurement during which the gate had its core busy for that share of the time. */
function slotAt(busy: number): Slot {
  const cpu = { gate: { usPerRequest: 50, busy } }
  return { turn: 1, scenario: redis, measurement: measured(1_000, { cpu }), beside: measured(1_000), shares: {} }
}

/** Beside a reference of 1,000 requests a second, at 100 µs each. */
function slotOf(scenario: Scenario, rps: number, us: number): Slot {
  const beside = measured(1_000, { cpu: { gate: { usPerRequest: 100, busy: 1 } } })
  const measurement = measured(rps, { cpu: { gate: { usPerRequest: us, busy: 1 } } })
  return { turn: 1, scenario, measurement, beside, shares: {} }
}

t.test('a ratio is taken within its round, so that drift between rounds cancels out', async t => {
  const slots = [...round(1, 1_000, 1_200, 100), ...round(2, 100, 130, 10), ...round(3, 500, 550, 50)]

  const { ratios, scenarios, rounds } = summarise(slots, {}, 3)

  t.equal(rounds, 3)
  t.strictSame(ratios['gateway-redis/http-proxy']?.rps, { median: 1.2, low: 1.1, high: 1.3 })
  t.strictSame(ratios['gateway-redis/better-auth-get-session']?.rps, { median: 12, low: 11, high: 13 })
  t.match(scenarios['gateway-redis'], {
    rps: 550,
    rps_low: 130,
    rps_high: 1_200,
    p50_us: 1_000,
    p99_us: 5_000,
    errors: 0,
    sql_share: 0.02
  })
  t.equal(scenarios['better-auth-get-session']?.sql_share, null, 'it does not count')
})

t.test('what is asked for has its own ratio, of requests and of processor time: the check beside no check', async t => {
  const [local, off] = ['gateway-local', 'gateway-auth-off'].map(name => catalogue.find(each => each.name === name))
  const slots = [slotOf(off as Scenario, 2_000, 50), slotOf(local as Scenario, 1_900, 52)]

  const results = summarise(slots, {}, 1)

  t.match(results.ratios['gateway-local/gateway-auth-off'], { rps: { median: 0.95 }, cpu: { median: 1.04 } })
  t.match(markdown(results), '| `gateway-local` ÷ `gateway-auth-off` | 0.95 (0.95–0.95) | 1.04 (1.04–1.04) |')
  t.equal(results.ratios['gateway-local/nginx'], undefined, 'nginx was not measured')
})

t.test('every kind of failed request counts as an error', async t => {
  const errors = { connection: 1, timeout: 2, status: 4, dropped: 8 }
  const beside = measured(1_000)
  const slots = [{ turn: 1, scenario: redis, measurement: measured(1_000, { errors }), beside, shares: {} }]

  t.equal(summarise(slots, {}, 1).scenarios['gateway-redis']?.errors, 15)
})

t.test('a gate whose core was not full is marked as held back by its surroundings', async t => {
  t.equal(summarise([slotAt(0.97)], {}, 1).scenarios['gateway-redis']?.limit, 'gate')
  const results = summarise([slotAt(0.6)], {}, 1)
  t.equal(results.scenarios['gateway-redis']?.limit, 'surroundings')
  t.match(markdown(results), /1,000 \(1,000–1,000\) ¹/)
})

t.test('where autocannon had a core full, autocannon is named as the limit, and what it can send at most', async t => {
  const cpu = {
    gate: { usPerRequest: 20, busy: 0.6 },
    generator: { usPerRequest: 40, busy: 0.97 },
    upstream: { usPerRequest: 10, busy: 0.2 }
  }
  const slot = { turn: 1, scenario: redis, measurement: measured(1_000, { cpu }), beside: measured(1_000), shares: {} }
  const results = summarise([slot], {}, 1)
  const page = markdown(results)

  t.equal(results.scenarios['gateway-redis']?.limit, 'generator')
  t.match(page, /1,000 \(1,000–1,000\) ²/)
  t.match(page, /autocannon can send 25,000 requests per second and no more/)
  t.match(page, /shares one with the upstream, 20,000/)
})

t.test(
  'what was not run is in the report with the way to have it run, and so is every shape with its problems',
  async t => {
    const lost = { unit: 'messages', better: 'lower', median: 3, low: 3, high: 3 } as const
    const speed = { unit: 'MB/s', better: 'higher', median: 411.5, low: 400, high: 1_500 } as const
    const shapes = { streams: { what: 'many streams', figures: { lost, speed }, problems: ['3 messages lost'] } }
    const not_run = [{ name: 'nginx', reason: 'nginx is not installed: apt-get install nginx' }]
    const results = { ...summarise([slotAt(1)], {}, 1), shapes, not_run }
    const page = markdown(results)

    t.match(page, '- `nginx`: nginx is not installed: apt-get install nginx')
    t.match(page, '## streams')
    t.match(page, '| lost | 3 messages |')
    t.match(page, '| speed | 412 (400–1500) MB/s |')
    t.match(page, 'Failed: 3 messages lost.')
    t.strictSame(problemsOf(results), ['streams: 3 messages lost'])
  }
)

t.test('report and plot name every scenario, and the report every ratio and the machine', async t => {
  const results = summarise(round(1, 1_000, 1_200, 100), { cores: 2, versions: { node: '20.20.2' } }, 1)
  const page = markdown(results)
  const plot = svg(results)

  for (const name of ['http-proxy', 'gateway-redis', 'better-auth-get-session']) {
    t.match(page, `\`${name}\``)
    t.match(plot, `>${name}</text>`)
  }
  t.match(page, '**1.20 (1.20–1.20)**')
  t.match(page, '| `gateway-redis` ÷ `better-auth-get-session` | 12.0 (12.0–12.0) |')
  t.match(page, '- cores: 2\n- versions: node 20.20.2')
  t.match(plot, '1.20 ×, 1,200/s')
  t.match(plot, 'prefers-color-scheme: dark')
})
