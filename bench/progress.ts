/** One line per measurement while the benchmark runs. */
import { errorsOf } from './load.js'
import { relative } from './ratios.js'
import type { Slot } from './rounds.js'

export function progress(turns: number): (slot: Slot) => void {
  return slot => {
    const { measurement, scenario, turn, beside } = slot
    const cpu = measurement.cpu.gate
    const cells = [
      `turn ${turn}/${turns}`,
      scenario.name.padEnd(24),
      `${Math.round(measurement.rps)} rps`.padStart(10),
      (beside === null ? '' : `${relative(slot).rps.toFixed(2)} × F0`).padStart(10),
      (cpu === undefined ? '' : `${cpu.usPerRequest.toFixed(1)} µs CPU`).padStart(14),
      `p99 ${(measurement.p99 / 1_000).toFixed(1)} ms`.padStart(12),
      errorsOf(measurement) === 0 ? '' : JSON.stringify({ ...measurement.errors, ...measurement.statuses })
    ]
    console.log(cells.join(' '))
  }
}
