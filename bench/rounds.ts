/**
 * Interleaved rounds. The machine's speed drifts by more than the differences that matter, so no scenario is compared
 * with a reference measured minutes away: of every three measurements the middle one is the reference, and each
 * neighbour is divided by it. The order changes from turn to turn.
 */
import type { Generator, Measurement } from './load.js'
import type { Options } from './options.js'
import { reference } from './scenarios/catalogue.js'
import type { Gate, Scenario } from './scenarios/scenario.js'
import { sessionsOf } from './sessions.js'
import type { Stack } from './stack.js'
import { otherWorkIn } from './verify.js'

const ATTEMPTS = 3

export interface Slot {
  /** Of all turns of all rounds, from 1. */
  readonly turn: number
  readonly scenario: Scenario
  readonly measurement: Measurement
  /** The reference measured next to it; the reference has none. */
  readonly beside: Measurement | null
  /** Share of the look-ups by source, of a gate that counts them. */
  readonly shares: Readonly<Record<string, number>>
}

export interface RoundsContext {
  readonly options: Options
  readonly stack: Stack
  readonly generator: Generator
  readonly gates: ReadonlyMap<Scenario, Gate>
  /**
   * The reference once for each pair: whoever is measured more often rests less, and a process that has rested is slower
   * for a while.
   */
  readonly references: readonly Gate[]
  readonly onSlot: (slot: Slot) => void
}

export async function runRounds(context: RoundsContext): Promise<Slot[]> {
  // Code that has never run hot is up to twice as slow; none of that belongs in a figure.
  const first = { warmUpSeconds: 0, seconds: context.options.firstSeconds }
  for (const gate of context.references) await loadOn(context, reference, gate, first)
  for (const [scenario, gate] of context.gates) {
    if (scenario !== reference) await loadOn(context, scenario, gate, first)
  }
  const slots: Slot[] = []
  const record = (slot: Slot) => {
    slots.push(slot)
    context.onSlot(slot)
  }
  for (let turn = 1; turn <= turnsOf(context.options); turn++) {
    for (const [pair, [first, second]] of groups([...context.gates.keys()], turn).entries()) {
      const before = first && (await measure(context, first))
      const middle = await measure(context, reference, context.references[pair])
      const beside = middle.measurement
      record({ turn, scenario: reference, ...middle, beside: null })
      if (first && before) record({ turn, scenario: first, ...before, beside })
      if (second) record({ turn, scenario: second, ...(await measure(context, second)), beside })
    }
  }
  return slots
}

/** How many measurements there are of each scenario. */
export function turnsOf({ rounds, turns }: Options): number {
  return rounds * turns
}

/** What `runRounds` takes, a moment between two measurements included. */
export function expectedSeconds(options: Options, scenarios: readonly Scenario[]): number {
  const pairs = pairsOf(scenarios)
  const slots = turnsOf(options) * (scenarios.length - 1 + pairs)
  const each = options.warmUpSeconds + options.seconds / options.turns + 0.3
  return (scenarios.length - 1 + pairs) * (options.firstSeconds + 0.3) + slots * each
}

/** How many references there must be. */
export function pairsOf(scenarios: readonly Scenario[]): number {
  return groups(scenarios, 0).length
}

/** Pairs to measure on either side of the reference. A lone reference is one group of nobody. */
function groups(scenarios: readonly Scenario[], turn: number): [Scenario?, Scenario?][] {
  const others = scenarios.filter(scenario => scenario !== reference)
  if (others.length === 0) return [[]]
  const start = turn % others.length
  const turned = [...others.slice(start), ...others.slice(0, start)]
  return Array.from({ length: Math.ceil(turned.length / 2) }, (_, index) => {
    const [first, second] = turned.slice(index * 2, index * 2 + 2)
    return second === undefined ? [first] : [first, second]
  }) as [Scenario?, Scenario?][]
}

/** Where a loaded machine made Redis answer too late, the gate asked its database, and the figure is of other work. */
async function measure(
  context: RoundsContext,
  scenario: Scenario,
  gate = context.gates.get(scenario)
): Promise<Pick<Slot, 'measurement' | 'shares'>> {
  if (gate === undefined) throw new Error(`${scenario.name} was not opened`)
  for (let attempt = 1; ; attempt++) {
    const { measurement, shares, otherWork } = await measureOnce(context, scenario, gate)
    if (otherWork === null) return { measurement, shares }
    if (attempt === ATTEMPTS) throw new Error(otherWork)
    console.log(`once more: ${otherWork}`)
  }
}

async function measureOnce(context: RoundsContext, scenario: Scenario, gate: Gate) {
  const { options, stack } = context
  const before = (await gate.lookups?.()) ?? {}
  const { warmUpSeconds, seconds, turns } = options
  const measurement = await loadOn(context, scenario, gate, { warmUpSeconds, seconds: seconds / turns })
  const after = (await gate.lookups?.()) ?? {}
  const sessions = sessionsOf(scenario.traffic ?? 'rotation', stack.sessions).length
  return {
    measurement,
    shares: sharesOf(before, after),
    otherWork: otherWorkIn(scenario, before, after, measurement.requests, sessions)
  }
}

function sharesOf(before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>) {
  const asked = Object.entries(after).map(([source, count]) => [source, count - (before[source] ?? 0)] as const)
  const total = asked.reduce((sum, [, count]) => sum + count, 0)
  return Object.fromEntries(asked.map(([source, count]) => [source, total === 0 ? 0 : count / total]))
}

async function loadOn(
  { options, stack, generator }: RoundsContext,
  scenario: Scenario,
  gate: Gate,
  { warmUpSeconds, seconds }: Pick<Options, 'warmUpSeconds' | 'seconds'>
): Promise<Measurement> {
  await gate.tidy()
  return generator({
    url: `${gate.origin}${scenario.path}`,
    connections: options.connections,
    warmUpSeconds,
    seconds,
    cookies: sessionsOf(scenario.traffic ?? 'rotation', stack.sessions).map(({ cookie }) => cookie),
    watch: { upstream: [stack.upstream.pid], gate: gate.pids },
    ...(scenario.status === undefined ? {} : { status: scenario.status })
  })
}
