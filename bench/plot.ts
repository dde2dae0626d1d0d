/** `latest.svg`: one bar per scenario, its length the ratio to the reference, a whisker for the spread. */
import type { Results } from './results.js'
import { reference } from './scenarios/catalogue.js'

const WIDTH = 760
const LABEL = 190
const VALUE = 220
const ROW = 34
const TOP = 46

/** Mid-tones that read on white and on black; where the viewer tells the reader's scheme, text gets full contrast. */
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #6e7781 }
  .ours { fill: #2f81f7 } .peer { fill: #8b949e } .base { fill: #bf8700 }
  .axis { stroke: #bf8700; stroke-dasharray: 4 3 } .spread { stroke: #57606a }
  @media (prefers-color-scheme: light) { text { fill: #1f2328 } }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }`

export function svg(results: Results): string {
  const rows = Object.entries(results.scenarios).map(([name, { rps, gate_cpu_us }]) => {
    const ratio = results.ratios[`${name}/${reference.name}`]?.rps ?? { median: 1, low: 1, high: 1 }
    return { name, rps, cpu: gate_cpu_us, ratio }
  })
  const longest = Math.max(...rows.map(({ ratio }) => ratio.high))
  const scale = (WIDTH - LABEL - VALUE) / longest
  const height = TOP + rows.length * ROW + 10
  const one = LABEL + scale
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="Requests per second relative to ${reference.name}">
<style>${STYLE}
</style>
<text x="8" y="20" font-weight="600">Requests per second, ${reference.name} without authentication = 1</text>
<line class="axis" x1="${one.toFixed(1)}" x2="${one.toFixed(1)}" y1="${TOP - 12}" y2="${height - 10}"/>
${rows.map((row, index) => bar(row, TOP + index * ROW, scale)).join('\n')}
</svg>
`
}

interface Row {
  readonly name: string
  readonly rps: number
  readonly cpu: number | null
  readonly ratio: { readonly median: number; readonly low: number; readonly high: number }
}

function bar({ name, rps, cpu, ratio }: Row, y: number, scale: number): string {
  const at = (value: number) => (LABEL + value * scale).toFixed(1)
  const kind = name === reference.name ? 'base' : name.startsWith('gateway-') ? 'ours' : 'peer'
  const middle = y + 11
  const perRequest = cpu === null ? '' : ` · ${cpu.toFixed(0)} µs CPU`
  return `<text x="${LABEL - 10}" y="${y + 15}" text-anchor="end">${name}</text>
<rect class="${kind}" x="${LABEL}" y="${y}" width="${Math.max(1, ratio.median * scale).toFixed(1)}" height="22" rx="3"/>
<line class="spread" x1="${at(ratio.low)}" x2="${at(ratio.high)}" y1="${middle}" y2="${middle}"/>
<text x="${Number(at(ratio.high)) + 8}" y="${y + 15}">${ratio.median.toFixed(2)} ×, ${Math.round(rps).toLocaleString('en-GB')}/s${perRequest}</text>`
}
