/**
 * Counters and histograms for what happens on every request. prom-client's own hash an object of labels at each
 * observation, which took 2.5 % of a loaded gateway's time (2026-11-21); these find their numbers by one Map
 * look-up and become prom-client's shape only when somebody asks.
 */
import type { Metric, Registry } from 'prom-client'

export interface HotMetric {
  readonly name: string
  readonly help: string
  readonly labelNames: readonly string[]
}

interface Sample {
  readonly metricName?: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

/** One step per label: keys made of several strings would be joined, and hashed anew, for every observation. */
class CountNode {
  readonly next = new Map<string, CountNode>()
  count = 0
}

export class HotCounter {
  readonly #labelNames: readonly string[]
  readonly #counts = new CountNode()

  constructor(metric: HotMetric, registry: Registry) {
    this.#labelNames = metric.labelNames
    register(metric, 'counter', () => samplesBelow(this.#counts, this.#labelNames, {}), registry)
  }

  /** In the order of `labelNames`. */
  inc(...labels: readonly string[]): void {
    let node = this.#counts
    for (const label of labels) {
      let next = node.next.get(label)
      if (next === undefined) {
        next = new CountNode()
        node.next.set(label, next)
      }
      node = next
    }
    node.count++
  }
}

function samplesBelow(node: CountNode, [name, ...names]: readonly string[], labels: Sample['labels']): Sample[] {
  if (name === undefined) return [{ labels, value: node.count }]
  return [...node.next].flatMap(([label, next]) => samplesBelow(next, names, { ...labels, [name]: label }))
}

interface Distribution {
  /** One for each bound and one beyond the last; not cumulative. */
  readonly counts: number[]
  sum: number
}

/** With one label. */
export class HotHistogram {
  readonly #name: string
  readonly #label: string
  readonly #bounds: readonly number[]
  readonly #distributions = new Map<string, Distribution>()

  constructor(metric: HotMetric, bounds: readonly number[], registry: Registry) {
    this.#name = metric.name
    this.#label = metric.labelNames[0] ?? ''
    this.#bounds = bounds
    register(metric, 'histogram', () => this.#samples(), registry)
  }

  observe(label: string, value: number): void {
    let known = this.#distributions.get(label)
    if (known === undefined) {
      known = { counts: Array<number>(this.#bounds.length + 1).fill(0), sum: 0 }
      this.#distributions.set(label, known)
    }
    const { counts } = known
    let i = 0
    while (i < this.#bounds.length && value > (this.#bounds[i] as number)) i++
    counts[i] = (counts[i] as number) + 1
    known.sum += value
  }

  #samples(): Sample[] {
    return [...this.#distributions].flatMap(([label, { counts, sum }]) => {
      const labels = { [this.#label]: label }
      let count = 0
      const buckets = counts.map((inBucket, i) => {
        count += inBucket
        return {
          metricName: `${this.#name}_bucket`,
          labels: { le: this.#bounds[i] ?? '+Inf', ...labels },
          value: count
        }
      })
      return [
        ...buckets,
        { metricName: `${this.#name}_sum`, labels, value: sum },
        { metricName: `${this.#name}_count`, labels, value: count }
      ]
    })
  }
}

/** A registry asks its metrics for nothing but this. */
function register(
  { name, help, labelNames }: HotMetric,
  type: string,
  samples: () => Sample[],
  registry: Registry
): void {
  const metric = {
    name,
    help,
    labelNames,
    type,
    aggregator: 'sum',
    get: async () => ({ name, help, type, aggregator: 'sum', values: samples() })
  }
  registry.registerMetric(metric as unknown as Metric)
}
