/** `latest.md`: the table a reader can judge, with everything needed to repeat it. */
import type { Ratio } from './ratios.js'
import type { Results, ScenarioResult, ShapeResult } from './results.js'
import { reference } from './scenarios/catalogue.js'
import type { Spread } from './statistics.js'

const count = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 })

export function markdown(results: Results): string {
  const { machine, rounds, scenarios, shapes } = results
  const page = `# Benchmark results

${rounds} interleaved turns; medians, with the middle half of the turns in brackets. Ratios are taken pair by
pair with the \`${reference.name}\` measurement next to each. The machine's speed drifts: quote ratios and processor
time, not requests per second.

![Requests per second, relative to ${reference.name}](latest.svg)

${table(results)}

¹ The gate's core was not full: generator, upstream and stores (or other programs of this machine) were the limit, so
requests per second are a lower bound. Processor time per request is not affected. ² autocannon itself was.

${generatorCeiling(results)}

${againstEachOther(results)}

${notRun(results)}
${Object.entries(shapes)
  .map(([name, shape]) => shapeTable(name, shape))
  .join('\n')}

## What was measured

${Object.entries(scenarios)
  .map(([name, { what }]) => `- \`${name}\`: ${what}`)
  .join('\n')}

## Where

${Object.entries(machine)
  .map(([name, value]) => `- ${name}: ${typeof value === 'object' ? pairs(value) : String(value)}`)
  .join('\n')}
`
  // Parts that have nothing to say leave their blank lines.
  return page.replaceAll(/\n{3,}/g, '\n\n')
}

function table({ scenarios, ratios }: Results): string {
  const head = [
    '| scenario | requests/s | × F0 | gate CPU µs/request | CPU × F0 | p50 µs | p99 µs | p99 × F0 | asked SQL | errors | gate · generator · upstream busy |',
    '|---|---|---|---|---|---|---|---|---|---|---|'
  ]
  const rows = Object.entries(scenarios).map(([name, result]) => row(name, result, ratios[`${name}/${reference.name}`]))
  return [...head, ...rows].join('\n')
}

function row(name: string, result: ScenarioResult, ratio: Ratio | undefined): string {
  const mark = { gate: '', unknown: '', surroundings: ' ¹', generator: ' ²' }[result.limit]
  const cells = [
    `\`${name}\``,
    `${count.format(result.rps)} (${count.format(result.rps_low)}–${count.format(result.rps_high)})${mark}`,
    ratio === undefined ? '**1**' : `**${spread(ratio.rps)}**`,
    result.gate_cpu_us === null ? '–' : result.gate_cpu_us.toFixed(1),
    ratio?.cpu ? spread(ratio.cpu) : '–',
    count.format(result.p50_us),
    count.format(result.p99_us),
    ratio === undefined ? '1' : spread(ratio.p99),
    result.sql_share === null ? '–' : `${(100 * result.sql_share).toFixed(1)} %`,
    String(result.errors),
    [result.gate_busy, result.generator_busy, result.upstream_busy].map(percent).join(' · ')
  ]
  return `| ${cells.join(' | ')} |`
}

/** How far the fastest scenario is from what the generator can send at all. */
function generatorCeiling({ scenarios }: Results): string {
  const [fastest] = Object.entries(scenarios).toSorted(([, a], [, b]) => b.rps - a.rps)
  if (fastest === undefined) return ''
  const [name, { generator_cpu_us: own, upstream_cpu_us: upstream }] = fastest
  if (own === null || upstream === null) return ''
  return `The generator: with \`${name}\`, the fastest, autocannon took ${own.toFixed(1)} µs of processor time per request and the
upstream ${upstream.toFixed(1)} µs. On a core of its own autocannon can send ${count.format(1e6 / own)} requests per second and no more; where
it shares one with the upstream, ${count.format(1e6 / (own + upstream))}. A scenario near that is limited by its surroundings.`
}

function notRun({ not_run: left }: Results): string {
  if (left.length === 0) return ''
  return `## Not run\n\n${left.map(({ name, reason }) => `- \`${name}\`: ${reason}`).join('\n')}\n`
}

function shapeTable(name: string, { what, figures, problems }: ShapeResult): string {
  const rows = Object.entries(figures).map(([label, each]) => `| ${label} | ${quantity(each)} ${each.unit} |`)
  const failed = problems.length === 0 ? '' : `\nFailed: ${problems.join('; ')}.\n`
  return `## ${name}\n\n${what}.\n\n| | median (spread) |\n|---|---|\n${rows.join('\n')}\n${failed}`
}

function againstEachOther({ ratios }: Results): string {
  const rows = Object.entries(ratios).filter(([name]) => !name.endsWith(`/${reference.name}`))
  if (rows.length === 0) return ''
  const lines = rows.map(
    ([name, { rps, cpu }]) => `| \`${name.replace('/', '` ÷ `')}\` | ${spread(rps)} | ${cpu === null ? '–' : spread(cpu)} |`
  )
  return ['| one ÷ the other | requests per second | CPU per request |', '|---|---|---|', ...lines].join('\n')
}

function spread({ median, low, high }: Spread): string {
  const digits = median >= 100 ? 0 : median >= 10 ? 1 : 2
  return `${median.toFixed(digits)} (${low.toFixed(digits)}–${high.toFixed(digits)})`
}

function quantity(value: Spread): string {
  if (!Number.isFinite(value.median)) return '–'
  if (value.median < 1_000 && value.low !== value.high) return spread(value)
  const [median, low, high] = [value.median, value.low, value.high].map(each => count.format(each))
  return low === high ? `${median}` : `${median} (${low}–${high})`
}

function percent(share: number | null): string {
  return share === null ? '–' : `${Math.round(share * 100)} %`
}

function pairs(value: unknown): string {
  return Object.entries(value as object)
    .map(([name, version]) => `${name} ${String(version)}`)
    .join(', ')
}
