/** What upstreams took, failed at, and needed twice. By upstream; the log tells which target. */
import { Counter, type Registry } from 'prom-client'
import { HotHistogram } from './hot-metrics.js'

export class UpstreamMetrics {
  readonly #seconds: HotHistogram
  readonly #errors: Counter<'upstream' | 'code'>
  readonly #retries: Counter<'upstream'>
  readonly #ejections: Counter<'upstream'>

  constructor(prefix: string, bounds: readonly number[], registry: Registry) {
    const described = (name: string, help: string) => ({ name: `${prefix}upstream_${name}`, help })
    const labelNames = ['upstream'] as const
    const registers = [registry]
    const seconds = described('duration_seconds', 'From dispatch to the last byte.')
    this.#seconds = new HotHistogram({ ...seconds, labelNames: ['upstream'] }, bounds, registry)
    this.#errors = new Counter({
      ...described('errors_total', 'Calls that failed before an answer.'),
      labelNames: ['upstream', 'code'],
      registers
    })
    this.#retries = new Counter({ ...described('retries_total', 'Calls made again.'), labelNames, registers })
    const ejections = described('ejections_total', 'Times that a target got no more calls.')
    this.#ejections = new Counter({ ...ejections, labelNames, registers })
  }

  done(upstream: string, ms: number, errorCode: string | null): void {
    this.#seconds.observe(upstream, ms / 1000)
    if (errorCode !== null) this.#errors.inc({ upstream, code: errorCode })
  }

  retried(upstream: string): void {
    this.#retries.inc({ upstream })
  }

  ejected(upstream: string): void {
    this.#ejections.inc({ upstream })
  }
}
