/** What must be as it was: memory while the load is the same, sockets and descriptors once it has ended. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster, Node } from './cluster.js'
import { type Holdings, holdingsOf, type Ports } from './processes.js'
import type { Timeline } from './timeline.js'

/** Between two samples. */
export const SAMPLE_MS = 10_000
/** Samples: below three minutes a process is still warming up. */
const FEWEST_SAMPLES = 18
const GROWTH = 1.15
const GROWTH_MB = 20
/** DATABASE_POOL_MAX and the ten beside it; they are given back after a minute. */
const POOLS = 20
const WORST_LAG_S = 0.5
const QUIET_MS = 15_000

export interface Growth {
  readonly node: string
  readonly minutes: number
  /** MB: medians at the end of the first third, and at the end. */
  readonly from: number
  readonly to: number
}

export class Leaks {
  /** Seconds, the worst 99th percentile of ten seconds without a fault. */
  worstLag = 0
  readonly #nodes: readonly Node[]
  readonly #timeline: Timeline
  readonly #ports: Omit<Ports, 'own'>
  readonly #before = new Map<string, Holdings>()
  readonly #rss = new Map<number, { readonly node: string; readonly samples: number[] }>()

  constructor({ a, b, plain, live }: Cluster, timeline: Timeline) {
    this.#nodes = [a, b]
    this.#timeline = timeline
    this.#ports = { plain: Number(new URL(plain.origin).port), live: live.port }
  }

  async begin(): Promise<void> {
    for (const node of this.#nodes) this.#before.set(node.name, await this.#holdings(node))
  }

  /** Every ten seconds of load. Resolves with what there is to see. */
  async sample(violate: (what: string) => void): Promise<string> {
    const seen = await Promise.all(this.#nodes.map(node => this.#sampleOne(node, violate)))
    return seen.join(', ')
  }

  growth(): Growth[] {
    return [...this.#rss.values()]
      .filter(({ samples }) => samples.length >= FEWEST_SAMPLES)
      .map(({ node, samples }) => {
        const part = Math.ceil(samples.length / 9)
        const third = Math.floor(samples.length / 3)
        return {
          node,
          minutes: samples.length / 6,
          from: median(samples.slice(third, third + part)),
          to: median(samples.slice(-part))
        }
      })
  }

  /** After the load: what is left over, node by node; empty when all is as before. */
  async leftOver(): Promise<string[]> {
    const end = performance.now() + QUIET_MS
    for (;;) {
      const found = (await Promise.all(this.#nodes.map(node => this.#leftOverOf(node)))).filter(text => text !== null)
      if (found.length === 0 || performance.now() > end) return found
      await sleep(100)
    }
  }

  async #leftOverOf(node: Node): Promise<string | null> {
    const before = this.#before.get(node.name)
    const now = await this.#holdings(node)
    const { clients, plain, live, rest } = now.sockets
    const isFlat =
      clients + plain + live + now.closeWait === 0 &&
      rest <= (before?.sockets.rest ?? 0) + POOLS &&
      now.others <= (before?.others ?? 0) + 2
    return isFlat ? null : `${node.name}: ${JSON.stringify(now)}, before ${JSON.stringify(before)}`
  }

  async #sampleOne(node: Node, violate: (what: string) => void): Promise<string> {
    try {
      if (!this.#isSilenced(node)) return await this.#look(node, violate)
    } catch (error) {
      if (!this.#isSilenced(node)) violate(`${node.name} does not tell how it is: ${error}`)
    }
    return `${node.name} -`
  }

  /** It may be killed while it is asked. */
  #isSilenced({ name }: Node): boolean {
    return this.#timeline.current?.silences === name
  }

  async #look(node: Node, violate: (what: string) => void): Promise<string> {
    const now = performance.now()
    const { rss, sockets } = await this.#holdings(node)
    const series = this.#rss.get(node.pid) ?? { node: node.name, samples: [] }
    series.samples.push(rss)
    this.#rss.set(node.pid, series)
    const lag = await lagOf(node)
    if (this.#timeline.isHealthy(now - SAMPLE_MS, now) && !this.#timeline.isStall(now - SAMPLE_MS, now)) {
      this.worstLag = Math.max(this.worstLag, lag)
      if (lag > WORST_LAG_S) violate(`the event loop of ${node.name} lagged by ${lag} s without any fault`)
    }
    const total = sockets.clients + sockets.plain + sockets.live + sockets.rest
    return `${node.name} ${rss} MB ${total} sockets`
  }

  #holdings(node: Node): Promise<Holdings> {
    return holdingsOf(node.pid, { ...this.#ports, own: [node.port, node.opsPort] })
  }
}

export function hasGrown({ from, to }: Growth): boolean {
  return to > from * GROWTH + GROWTH_MB
}

/** The 99th percentile since it was last asked for. */
async function lagOf({ opsPort }: Node): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${opsPort}/metrics`, { headers: { connection: 'close' } })
  const page = await response.text()
  return Number(/^nodejs_eventloop_lag_p99_seconds (\S+)$/m.exec(page)?.[1] ?? 0)
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}
