/** From measurements to `latest.json`: medians over the rounds. Names of fields are public. */
import { errorsOf, type Measurement } from './load.js'
import { againstEachOther, againstReference, type Ratio } from './ratios.js'
import type { Slot } from './rounds.js'
import type { NotRun } from './selection.js'
import { catalogue, reference } from './scenarios/catalogue.js'
import type { Scenario } from './scenarios/scenario.js'
import type { Figure } from './shapes/shape.js'
import { rounded, spreadOf } from './statistics.js'

/** From this share of its core on, the gate itself is what limits a scenario. */
const SATURATED = 0.9

export interface ScenarioResult {
  readonly what: string
  readonly rps: number
  readonly rps_low: number
  readonly rps_high: number
  readonly p50_us: number
  readonly p99_us: number
  readonly errors: number
  readonly requests: number
  /** Processor time of the gate for one request; null without a gate or without /proc. */
  readonly gate_cpu_us: number | null
  /** autocannon's own, for one request: it has one thread. */
  readonly generator_cpu_us: number | null
  readonly upstream_cpu_us: number | null
  /** Shares of one core. */
  readonly gate_busy: number | null
  readonly generator_busy: number | null
  readonly upstream_busy: number | null
  /** Look-ups that asked PostgreSQL, of all; null where the gate does not count them. */
  readonly sql_share: number | null
  /**
   * `gate`: its core was full. `generator`: autocannon could not send more. `surroundings`: generator, upstream and
   * stores together filled what they share, so the gate could do more.
   */
  readonly limit: 'gate' | 'generator' | 'surroundings' | 'unknown'
}

export interface ShapeResult {
  readonly what: string
  readonly figures: Readonly<Record<string, Figure>>
  /** Empty, or the run has failed. */
  readonly problems: readonly string[]
}

export interface Results {
  readonly machine: Readonly<Record<string, unknown>>
  readonly rounds: number
  readonly scenarios: Readonly<Record<string, ScenarioResult>>
  /** `a/b`: a divided by b. */
  readonly ratios: Readonly<Record<string, Ratio>>
  readonly shapes: Readonly<Record<string, ShapeResult>>
  readonly not_run: readonly NotRun[]
}

/** What the rounds say; shapes and what was not run are added to it. */
export function summarise(slots: readonly Slot[], machine: Results['machine'], rounds: number): Results {
  const scenarios = catalogue.filter(each => slots.some(({ scenario }) => scenario === each))
  const slotsOf = (scenario: Scenario) => slots.filter(slot => slot.scenario === scenario)
  return {
    machine,
    rounds,
    scenarios: Object.fromEntries(scenarios.map(each => [each.name, scenarioResult(each, slotsOf(each))])),
    ratios: {
      ...Object.fromEntries(
        scenarios.filter(each => each !== reference).map(each => againstReference(each, slotsOf(each)))
      ),
      ...againstEachOther(scenarios, slotsOf)
    },
    shapes: {},
    not_run: []
  }
}

/** Whatever makes the run fail, in words. */
export function problemsOf({ scenarios, shapes }: Results): string[] {
  return [
    ...Object.entries(scenarios).flatMap(([name, { errors }]) =>
      errors > 0 ? `${name}: ${errors} failed requests` : []
    ),
    ...Object.entries(shapes).flatMap(([name, { problems }]) => problems.map(each => `${name}: ${each}`))
  ]
}

function scenarioResult(scenario: Scenario, slots: readonly Slot[]): ScenarioResult {
  const measured = slots.map(slot => slot.measurement)
  const rps = rounded(spreadOf(measured.map(each => each.rps)), 0)
  const gateBusy = cpuOf(measured, 'gate', 'busy', 2)
  const generatorBusy = cpuOf(measured, 'generator', 'busy', 2)
  return {
    what: scenario.what,
    rps: rps.median,
    rps_low: rps.low,
    rps_high: rps.high,
    p50_us: rounded(spreadOf(measured.map(each => each.p50)), 0).median,
    p99_us: rounded(spreadOf(measured.map(each => each.p99)), 0).median,
    errors: measured.reduce((sum, each) => sum + errorsOf(each), 0),
    requests: measured.reduce((sum, each) => sum + each.requests, 0),
    gate_cpu_us: cpuOf(measured, 'gate', 'usPerRequest', 1),
    generator_cpu_us: cpuOf(measured, 'generator', 'usPerRequest', 1),
    upstream_cpu_us: cpuOf(measured, 'upstream', 'usPerRequest', 1),
    gate_busy: gateBusy,
    generator_busy: generatorBusy,
    upstream_busy: cpuOf(measured, 'upstream', 'busy', 2),
    sql_share: sqlShareOf(slots),
    limit: limitOf(scenario, gateBusy, generatorBusy)
  }
}

function sqlShareOf(slots: readonly Slot[]): number | null {
  const shares = slots.flatMap(({ shares }) => (Object.keys(shares).length === 0 ? [] : (shares.postgres ?? 0)))
  return shares.length === 0 ? null : rounded(spreadOf(shares), 4).median
}

function limitOf(scenario: Scenario, gateBusy: number | null, generatorBusy: number | null): ScenarioResult['limit'] {
  if (gateBusy !== null && gateBusy >= SATURATED) return 'gate'
  if (generatorBusy !== null && generatorBusy >= SATURATED) return 'generator'
  return gateBusy === null && scenario.name !== 'bare-upstream' ? 'unknown' : 'surroundings'
}

function cpuOf(
  measured: readonly Measurement[],
  process: string,
  field: 'usPerRequest' | 'busy',
  digits: number
): number | null {
  const values = measured.flatMap(({ cpu }) => cpu[process]?.[field] ?? [])
  return values.length === 0 ? null : rounded(spreadOf(values), digits).median
}
