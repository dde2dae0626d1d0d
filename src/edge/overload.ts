/**
 * Is this process about to go under? Sampled ten times a second; what every request asks is one field. Whoever is
 * refused costs next to nothing, so that what was let in is answered, and the process survives.
 *
 *   event_loop   three turns in a row took more than half a second: every request waits far longer than it is worked on
 *   memory       nine tenths of what the container (or V8's heap) may hold are taken, and not just not yet given back
 *
 * By a timer of our own: the histogram of `monitorEventLoopDelay` is empty after a reset for as long as turns are
 * slower than one looks at it (Node 20.20.2).
 */
import { getHeapStatistics } from 'node:v8'
import type { Logger } from 'pino'
import { GatewayError } from '../errors.js'
import type { Metrics } from './metrics.js'

export type OverloadCause = 'event_loop' | 'memory'

export interface OverloadOptions {
  /** Bytes this process may take; null: the machine has them. */
  readonly memoryLimit: number | null
  /** Bytes of V8's heap. */
  readonly heapLimit: number
  readonly onChange: (cause: OverloadCause | null) => void
  readonly onRefused: (cause: OverloadCause) => void
}

const SAMPLE_MS = 100
const LATE_MS = 500
/** One slow turn, a process that was stopped for a while: only what goes on is overload. */
const SAMPLES_TO_REFUSE = 3
/** Half a second without: or the crowd would be let in again at its first breath. */
const SAMPLES_TO_ADMIT = 5
const TAKEN = 0.9
/**
 * Memory that malloc keeps makes RSS stay where it once was. With less than this of the limit in use there is no
 * pressure, and refusing requests would not bring RSS down: it would go on for ever.
 */
const IN_USE = 0.4
const LONGEST_RETRY_S = 5

export class OverloadGuard {
  #cause: OverloadCause | null = null
  readonly #options: OverloadOptions
  readonly #timer: NodeJS.Timeout
  #sampledAt = performance.now()
  /** Samples in a row that say another thing than `#cause`. */
  #differing = 0

  constructor(options: OverloadOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS)
    this.#timer.unref()
  }

  /** Throws AUTH_SERVICE_UNAVAILABLE while there is more than can be done. */
  admit(): void {
    if (this.#cause === null) return
    this.#options.onRefused(this.#cause)
    // Not all at once: a crowd sent away together comes back together.
    const seconds = 1 + Math.floor(Math.random() * LONGEST_RETRY_S)
    throw new GatewayError('AUTH_SERVICE_UNAVAILABLE', {
      reason: `overloaded_${this.#cause}`,
      headers: { 'retry-after': String(seconds) }
    })
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #sample(): void {
    const late = performance.now() - this.#sampledAt - SAMPLE_MS
    this.#sampledAt += late + SAMPLE_MS
    const cause = late > LATE_MS ? 'event_loop' : isShort(process.memoryUsage(), this.#options) ? 'memory' : null
    this.#differing = (cause === null) === (this.#cause === null) ? 0 : this.#differing + 1
    if (this.#differing < (cause === null ? SAMPLES_TO_ADMIT : SAMPLES_TO_REFUSE)) return
    this.#differing = 0
    this.#cause = cause
    this.#options.onChange(cause)
  }
}

type Reading = Pick<NodeJS.MemoryUsage, 'rss' | 'heapUsed' | 'external'>

export function isShort(
  { rss, heapUsed, external }: Reading,
  { heapLimit, memoryLimit }: Pick<OverloadOptions, 'heapLimit' | 'memoryLimit'>
): boolean {
  if (heapUsed > heapLimit * TAKEN) return true
  return memoryLimit !== null && rss > memoryLimit * TAKEN && heapUsed + external > memoryLimit * IN_USE
}

/** For one of so many processes on this machine. */
export function guardAgainstOverload(processes: number, metrics: Metrics, log: Logger): OverloadGuard {
  return new OverloadGuard({
    ...memoryLimits(processes),
    onChange: cause => log.warn({ event: 'overload', cause }),
    onRefused: cause => metrics.overloaded(cause)
  })
}

/** Of the container, divided among so many processes of ours. */
function memoryLimits(processes: number): Pick<OverloadOptions, 'memoryLimit' | 'heapLimit'> {
  const limit = process.constrainedMemory()
  // Without a limit the kernel tells none, or one beyond any machine.
  const isOne = limit !== undefined && limit > 0 && limit < 2 ** 50
  return { memoryLimit: isOne ? limit / processes : null, heapLimit: getHeapStatistics().heap_size_limit }
}
