/** Durations and sizes as people write them: `500ms`, `2s`, `10m`, `1h`, `7d`; `512b`, `1kb`, `10mb`, `1gb`. */

const DURATION = /^(\d{1,10})(ms|s|m|h|d)$/
const SIZE = /^(\d{1,10})(b|kb|mb|gb)$/

const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const BYTES: Readonly<Record<string, number>> = { b: 1, kb: 2 ** 10, mb: 2 ** 20, gb: 2 ** 30 }

/** What a timer of Node can wait at most; a longer one would fire at once. About 24 days. */
const MAX_DURATION_MS = 2 ** 31 - 1

/** Milliseconds; null for anything that is no duration, is zero, or is longer than 24 days. */
export function durationMs(text: string): number | null {
  const [, amount = '', unit = ''] = DURATION.exec(text) ?? []
  const milliseconds = Number(amount) * (MILLISECONDS[unit] ?? 0)
  return milliseconds > 0 && milliseconds <= MAX_DURATION_MS ? milliseconds : null
}

/** Bytes; null for anything that is no size or is zero. */
export function sizeBytes(text: string): number | null {
  const [, amount = '', unit = ''] = SIZE.exec(text) ?? []
  const bytes = Number(amount) * (BYTES[unit] ?? 0)
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : null
}
