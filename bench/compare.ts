/**
 * `npm run bench -- compare A.json B.json`: what changed from A to B beyond the noise. Two figures differ when their
 * spreads do not overlap. Scenarios are compared by their ratios to F0, as the machine's speed drifts from run to run;
 * tails are left out, being noise in themselves. Peers are shown and do not count: no change to the gateway moves them,
 * so where they differ, the machine does.
 */
import { readFileSync } from 'node:fs'
import { problemsOf, type Results } from './results.js'
import { catalogue, reference } from './scenarios/catalogue.js'
import type { Spread } from './statistics.js'

export interface Change {
  readonly what: string
  /** Has the gateway in it. */
  readonly ours: boolean
  readonly before: Spread
  readonly after: Spread
  /** `same`: the spreads overlap. */
  readonly verdict: 'better' | 'worse' | 'same'
}

export interface Comparison {
  readonly changes: readonly Change[]
  /** Scenarios and shapes with figures in one of the two alone. */
  readonly onlyInOne: readonly string[]
  /** Failed requests and problems of B. */
  readonly errors: readonly string[]
}

/**
 * Exit code: 1 when the gateway is worse in B anywhere, or B has errors. Throws on a file that is not there or no
 * result.
 */
export function runCompare(files: readonly string[]): number {
  const [a, b] = files
  if (a === undefined || b === undefined || files.length !== 2)
    throw new Error('compare takes two files: A.json B.json')
  const comparison = compare(read(a), read(b))
  console.log(table(comparison))
  return isRegression(comparison) ? 1 : 0
}

export function compare(before: Results, after: Results): Comparison {
  const [a, b] = [figuresOf(before), figuresOf(after)]
  const labels = new Set([...Object.keys(a), ...Object.keys(b)])
  const changes: Change[] = []
  const onlyInOne = new Set<string>()
  for (const what of labels) {
    const [old, now] = [a[what], b[what]]
    if (old === undefined || now === undefined) onlyInOne.add((old ?? now)?.of ?? what)
    else changes.push({ what, ours: isOurs(now.of), before: old, after: now, verdict: verdictOn(old, now) })
  }
  return { changes, onlyInOne: [...onlyInOne], errors: problemsOf(after) }
}

export function isRegression({ changes, errors }: Comparison): boolean {
  return errors.length > 0 || changes.some(({ ours, verdict }) => ours && verdict === 'worse')
}

/** `of`: the name of the scenario or shape. */
type Comparable = Spread & { readonly of: string; readonly better: 'lower' | 'higher' }

/** Shapes all have the gateway in them. */
function isOurs(name: string): boolean {
  const scenario = catalogue.find(each => each.name === name)
  return scenario === undefined || name.startsWith('gateway-') || scenario.source !== null
}

function figuresOf({ ratios, shapes }: Results): Record<string, Comparable> {
  const figures: Record<string, Comparable> = {}
  for (const [pair, { rps, cpu }] of Object.entries(ratios)) {
    if (!pair.endsWith(`/${reference.name}`)) continue
    const name = pair.slice(0, pair.indexOf('/'))
    figures[`${name}, requests × F0`] = { ...rps, of: name, better: 'higher' }
    if (cpu !== null) figures[`${name}, CPU × F0`] = { ...cpu, of: name, better: 'lower' }
  }
  for (const [name, shape] of Object.entries(shapes)) {
    for (const [label, figure] of Object.entries(shape.figures)) {
      const { better, median } = figure
      // JSON has no NaN: what a system without /proc could not read is null in the file.
      if (better !== null && Number.isFinite(median) && !label.includes('p99'))
        figures[`${name}: ${label}`] = { ...figure, of: name, better }
    }
  }
  return figures
}

function verdictOn(before: Comparable, after: Comparable): Change['verdict'] {
  const { better } = after
  if (after.low > before.high) return better === 'higher' ? 'better' : 'worse'
  if (after.high < before.low) return better === 'higher' ? 'worse' : 'better'
  return 'same'
}

function table({ changes, onlyInOne, errors }: Comparison): string {
  const rows = changes.map(
    ({ what, ours, before, after, verdict }) =>
      `| ${what} | ${spread(before)} | ${spread(after)} | ${wordFor(verdict, ours)} |`
  )
  const rest = [...(onlyInOne.length > 0 ? [`in one of the two only: ${onlyInOne.join(', ')}`] : []), ...errors]
  return ['| | A | B | |', '|---|---|---|---|', ...rows, ...(rest.length > 0 ? ['', ...rest] : [])].join('\n')
}

function wordFor(verdict: Change['verdict'], ours: boolean): string {
  if (!ours && verdict !== 'same') return `peer, ${verdict}`
  return verdict === 'worse' ? '**worse**' : verdict
}

function spread({ median, low, high }: Spread): string {
  return `${number(median)} (${number(low)}–${number(high)})`
}

function number(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en-GB')
}

function read(file: string): Results {
  const results = JSON.parse(readFileSync(file, 'utf8')) as Partial<Results>
  if (results.ratios === undefined || results.scenarios === undefined) throw new Error(`${file} holds no results`)
  // A result of before there were shapes has none.
  return { shapes: {}, not_run: [], ...results } as Results
}
