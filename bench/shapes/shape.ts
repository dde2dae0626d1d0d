/** What the table cannot say: a start, a sign-out, a flood, a large table, large bodies, many streams. */
import type { Gates } from '../gates.js'
import type { Generator, Measurement } from '../load.js'
import type { Options } from '../options.js'
import type { Stack } from '../stack.js'
import { rounded, type Spread, spreadOf } from '../statistics.js'

export interface ShapeContext {
  readonly options: Options
  readonly stack: Stack
  readonly generator: Generator
  /** Those of the scenarios; opened where no scenario did. */
  readonly gateOf: Gates
}

export interface Figure extends Spread {
  readonly unit: string
  /** Null: not to be compared with another run, as a ratio beside it says it better, or it is no result at all. */
  readonly better: 'lower' | 'higher' | null
}

export interface ShapeOutcome {
  readonly figures: Readonly<Record<string, Figure>>
  /** Failed requests, lost messages, late acceptances: any of them fails the run. */
  readonly problems: readonly string[]
}

export interface Shape {
  readonly name: string
  readonly what: string
  /** About what `run` takes. */
  readonly seconds: (options: Options) => number
  readonly run: (context: ShapeContext) => Promise<ShapeOutcome>
}

/** Median and spread over the rounds; NaN of nothing. */
export function figure(values: readonly number[], unit: string, better: Figure['better']): Figure {
  const spread = spreadOf(values)
  return { unit, better, ...rounded(spread, spread.median >= 100 ? 0 : spread.median >= 10 ? 1 : 3) }
}

/** Both in every round, the order turning: what drifts hits one as often as the other. */
export async function alternate<T>(
  rounds: number,
  first: () => Promise<T>,
  second: () => Promise<T>
): Promise<[T, T][]> {
  const pairs: [T, T][] = []
  for (let round = 0; round < rounds; round++) {
    const early = round % 2 === 0 ? await first() : await second()
    const late = round % 2 === 0 ? await second() : await first()
    pairs.push(round % 2 === 0 ? [early, late] : [late, early])
  }
  return pairs
}

/** Second by first of every pair. */
export function ratios<T>(pairs: readonly (readonly [T, T])[], of: (each: T) => number): number[] {
  return pairs.map(([base, own]) => of(own) / of(base))
}

/** The second of each pair relative to the first; empty where processor time was not read. */
export function cpuRatios(pairs: readonly (readonly [Measurement, Measurement])[]): number[] {
  return pairs.flatMap(([{ cpu: base }, { cpu: own }]) =>
    base.gate && own.gate ? own.gate.usPerRequest / base.gate.usPerRequest : []
  )
}

/** Nearest rank; `share` 0.99 for p99. NaN of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
