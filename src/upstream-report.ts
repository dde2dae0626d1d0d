/** What operators are told of the upstreams: a part of /readyz, gauges, lines of the log. */
import type { FastifyBaseLogger } from 'fastify'
import type { PartHealth } from './edge/health.js'
import type { Metrics } from './edge/metrics.js'
import type { UpstreamEvents } from './upstream/upstream-events.js'
import type { Upstream } from './upstream/upstream-pool.js'

type Targets = Pick<Upstream, 'name' | 'targets'>

/** Not needed: another gateway would find the same targets dead, and this one has other upstreams. */
export function upstreamsHealth(upstreams: readonly Targets[]): PartHealth {
  const words = upstreams.map(({ name, targets }) => `${name} ${targets.well} of ${targets.all}`)
  const ok = upstreams.every(({ targets }) => targets.well === targets.all)
  return { ok, needed: false, detail: words.length === 0 ? 'none' : `targets that get calls: ${words.join(', ')}` }
}

/** 0: all targets are well; 0.5: some; 1: none, so all get calls as if they were. */
export function upstreamLevels(upstreams: readonly Targets[]): Record<string, number> {
  return Object.fromEntries(
    upstreams.map(({ name, targets: { all, well } }) => [`upstream:${name}`, well === all ? 0 : well === 0 ? 1 : 0.5])
  )
}

export function upstreamEvents(log: FastifyBaseLogger, { upstreams }: Metrics): UpstreamEvents {
  return {
    onChange({ out, ...change }) {
      if (out) {
        upstreams.ejected(change.upstream)
        log.warn({ event: 'upstream.out', ...change })
      } else log.info({ event: 'upstream.back', ...change })
    },
    onRetry: upstream => upstreams.retried(upstream)
  }
}
