/** Scenarios relative to each other, pair by pair, so that the drift of the machine's speed cancels out. */
import type { Slot } from './rounds.js'
import { reference } from './scenarios/catalogue.js'
import type { Scenario } from './scenarios/scenario.js'
import { rounded, type Spread, spreadOf } from './statistics.js'

/** Each against the measurement next to it; `cpu` is null where it was not read. */
export interface Ratio {
  readonly rps: Spread
  readonly cpu: Spread | null
  readonly p99: Spread
}

export function againstReference(scenario: Scenario, slots: readonly Slot[]): [string, Ratio] {
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

/** What the gateway's own memory costs beside the same route without a check, and beside what people put in front. */
const ASKED_FOR = ['gateway-auth-off', 'nginx', 'nginx-auth-request'].map(name => ['gateway-local', name] as const)

/** Scenarios against each other, Better Auth's own ways above all: each relative to its reference of the same round. */
export function againstEachOther(
  scenarios: readonly Scenario[],
  slotsOf: (scenario: Scenario) => readonly Slot[]
): Record<string, Ratio> {
  const ours = scenarios.filter(({ name, source }) => source !== 'none' && name.startsWith('gateway-'))
  const theirs = scenarios.filter(({ name }) => name.startsWith('better-auth-') || name === 'http-call')
  const asked = ASKED_FOR.flatMap(names => {
    const [one, other] = names.map(name => scenarios.find(each => each.name === name))
    return one === undefined || other === undefined ? [] : [[one, other] as const]
  })
  const pairs = [...asked, ...ours.flatMap(our => theirs.map(their => [our, their] as const))]
  return Object.fromEntries(
    pairs.map(([one, other]) => {
      const others = slotsOf(other).map(relative)
      const relatives = slotsOf(one).map((slot, index) => divide(relative(slot), others[index]))
      return [`${one.name}/${other.name}`, ratioOf(relatives.flatMap(each => each ?? []))]
    })
  )
}

function divide(own: Relative, other: Relative | undefined): Relative | null {
  if (other === undefined) return null
  const cpu = own.cpu === null || other.cpu === null ? null : own.cpu / other.cpu
  return { rps: own.rps / other.rps, cpu, p99: own.p99 / other.p99 }
}
