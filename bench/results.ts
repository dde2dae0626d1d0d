/** From measurements to `latest.json`: medians over the rounds, ratios pair by pair. Names of fields are public. */
import { errorsOf, type Measurement } from './load.js'
import type { Slot } from './rounds.js'
import { reference } from './scenarios/catalogue.js'
import type { Scenario } from './scenarios/scenario.js'
import { rounded, type Spread, spreadOf } from './statistics.js'

/** From this share of its core on, the gate itself is what limits a scenario. */
const SATURATED = 0.9

export interface ScenarioResult {
  readonly what: string
  readonly rps: number
  readonly rps_min: number
  readonly rps_max: number
  readonly p50_us: number
  readonly p99_us: number
  readonly errors: number
  readonly requests: number
  /** Processor time of the gate for one request; null without a gate or without /proc. */
  readonly gate_cpu_us: number | null
  /** Shares of one core. */
  readonly gate_busy: number | null
  readonly generator_busy: number | null
  readonly upstream_busy: number | null
  /** Look-ups that asked PostgreSQL, of all; null where the gate does not count them. */
  readonly sql_share: number | null
  /** `gate`: its core was full. `surroundings`: generator, upstream and stores were, so the gate could do more. */
  readonly limit: 'gate' | 'surroundings' | 'unknown'
}

/** Each against the measurement next to it; `cpu` is null where it was not read. */
export interface Ratio {
  readonly rps: Spread
  readonly cpu: Spread | null
  readonly p99: Spread
}

export interface Results {
  readonly machine: Readonly<Record<string, unknown>>
  readonly rounds: number
  readonly scenarios: Readonly<Record<string, ScenarioResult>>
  /** `a/b`: a divided by b. */
  readonly ratios: Readonly<Record<string, Ratio>>
}

export function summarise(slots: readonly Slot[], machine: Results['machine'], rounds: number): Results {
  const scenarios = [...new Set(slots.map(slot => slot.scenario))]
  const slotsOf = (scenario: Scenario) => slots.filter(slot => slot.scenario === scenario)
  return {
    machine,
    rounds,
    scenarios: Object.fromEntries(scenarios.map(each => [each.name, scenarioResult(each, slotsOf(each))])),
    ratios: {
      ...Object.fromEntries(
        scenarios.filter(each => each !== reference).map(each => againstReference(each, slotsOf(each)))
      ),
      ...againstBetterAuth(scenarios, slotsOf)
    }
  }
}

function scenarioResult(scenario: Scenario, slots: readonly Slot[]): ScenarioResult {
  const measured = slots.map(slot => slot.measurement)
  const rps = rounded(spreadOf(measured.map(each => each.rps)), 0)
  const gateBusy = cpuOf(measured, 'gate', 'busy', 2)
  return {
    what: scenario.what,
    rps: rps.median,
    rps_min: rps.min,
    rps_max: rps.max,
    p50_us: rounded(spreadOf(measured.map(each => each.p50)), 0).median,
    p99_us: rounded(spreadOf(measured.map(each => each.p99)), 0).median,
    errors: measured.reduce((sum, each) => sum + errorsOf(each), 0),
    requests: measured.reduce((sum, each) => sum + each.requests, 0),
    gate_cpu_us: cpuOf(measured, 'gate', 'usPerRequest', 1),
    gate_busy: gateBusy,
    generator_busy: cpuOf(measured, 'generator', 'busy', 2),
    upstream_busy: cpuOf(measured, 'upstream', 'busy', 2),
    sql_share: sqlShareOf(slots),
    limit: limitOf(scenario, gateBusy)
  }
}

function sqlShareOf(slots: readonly Slot[]): number | null {
  const shares = slots.flatMap(({ shares }) => (Object.keys(shares).length === 0 ? [] : (shares.postgres ?? 0)))
  return shares.length === 0 ? null : rounded(spreadOf(shares), 4).median
}

function limitOf(scenario: Scenario, gateBusy: number | null): ScenarioResult['limit'] {
  if (scenario.name === 'bare-upstream') return 'surroundings'
  if (gateBusy === null) return 'unknown'
  return gateBusy >= SATURATED ? 'gate' : 'surroundings'
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

function againstReference(scenario: Scenario, slots: readonly Slot[]): [string, Ratio] {
  return [`${scenario.name}/${reference.name}`, ratioOf(slots.map(relative))]
}

/** One measurement divided by the reference beside it. */
interface Relative {
  readonly rps: number
  readonly cpu: number | null
  readonly p99: number
}

export function relative({ measurement, beside }: Slot): Relative {
  if (beside === null) return { rps: 1, cpu: 1, p99: 1 }
  const [own, other] = [measurement.cpu.gate, beside.cpu.gate]
  return {
    rps: measurement.rps / beside.rps,
    cpu: own && other ? own.usPerRequest / other.usPerRequest : null,
    p99: measurement.p99 / beside.p99
  }
}

function ratioOf(relatives: readonly Relative[]): Ratio {
  const cpu = relatives.flatMap(each => each.cpu ?? [])
  return {
    rps: rounded(spreadOf(relatives.map(each => each.rps)), 3),
    cpu: cpu.length === 0 ? null : rounded(spreadOf(cpu), 3),
    p99: rounded(spreadOf(relatives.map(each => each.p99)), 3)
  }
}

/** Ours against Better Auth's own: both relative to their reference of the same round first. */
function againstBetterAuth(
  scenarios: readonly Scenario[],
  slotsOf: (scenario: Scenario) => readonly Slot[]
): Record<string, Ratio> {
  const ours = scenarios.filter(({ name, guarded }) => guarded && name.startsWith('gateway-'))
  const theirs = scenarios.filter(({ name }) => name.startsWith('better-auth-'))
  const pairs = ours.flatMap(our => theirs.map(their => [our, their] as const))
  return Object.fromEntries(
    pairs.map(([our, their]) => {
      const others = slotsOf(their).map(relative)
      const relatives = slotsOf(our).map((slot, index) => divide(relative(slot), others[index]))
      return [`${our.name}/${their.name}`, ratioOf(relatives.flatMap(each => each ?? []))]
    })
  )
}

function divide(own: Relative, other: Relative | undefined): Relative | null {
  if (other === undefined) return null
  const cpu = own.cpu === null || other.cpu === null ? null : own.cpu / other.cpu
  return { rps: own.rps / other.rps, cpu, p99: own.p99 / other.p99 }
}
