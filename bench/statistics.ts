/** Medians with their spread; a single figure is never quoted without it. */
export interface Spread {
  readonly median: number
  /** The middle half lies between the two; of fewer than twelve values, all of them. */
  readonly low: number
  readonly high: number
}

/** From so many on the outermost say more about the machine's other tenants than about what is measured. */
const QUARTILES_FROM = 12

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const upper = sorted[Math.floor(middle)] ?? Number.NaN
  const lower = sorted[Math.ceil(middle) - 1] ?? Number.NaN
  const left = sorted.length < QUARTILES_FROM ? 0 : Math.floor(sorted.length / 4)
  return { median: (lower + upper) / 2, low: sorted[left] ?? Number.NaN, high: sorted.at(-1 - left) ?? Number.NaN }
}

export function rounded({ median, low, high }: Spread, digits: number): Spread {
  const round = (value: number) => Number(value.toFixed(digits))
  return { median: round(median), low: round(low), high: round(high) }
}
