/** Medians with their spread; a single figure is never quoted without it. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const upper = sorted[Math.floor(middle)] ?? Number.NaN
  const lower = sorted[Math.ceil(middle) - 1] ?? Number.NaN
  return { median: (lower + upper) / 2, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN }
}

export function rounded({ median, min, max }: Spread, digits: number): Spread {
  const round = (value: number) => Number(value.toFixed(digits))
  return { median: round(median), min: round(min), max: round(max) }
}
