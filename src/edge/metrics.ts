/**
 * What Prometheus scrapes from the private listener. Names and labels: contract section 8.
 * Labels are bounded: route names from the table, known methods, statuses; never a path or a user.
 */
import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { HotCounter, HotHistogram } from './hot-metrics.js'
import { UpstreamMetrics } from './upstream-metrics.js'

const PREFIX = 'session_gateway_'
const SWITCHING_PROTOCOLS = 101
const KNOWN_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const LOOKUP_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1]

/** Read at scrape time. One that rejects leaves no sample. */
export interface Gauges {
  /** 0 closed, 0.5 half-open, 1 open; by dependency. */
  readonly breakers: () => Readonly<Record<string, number>>
  readonly poolConnections: () => Readonly<Record<string, number>>
  /** Since the heartbeat in Redis was renewed, by whatever node; Infinity when it has lapsed. Null: no Redis. */
  readonly heartbeatAgeMs: (() => Promise<number>) | null
  /** Since this process last applied what the outbox held. */
  readonly pollAgeMs: () => number
  /** Null: no outbox. */
  readonly outboxRows: (() => Promise<number>) | null
}

export class Metrics {
  readonly #registry = new Registry()
  /** Never read: being made is what opens prom-client's ear. */
  protected readonly forFirstProcess = new AggregatorRegistry()
  readonly #requests = new HotCounter(
    { name: `${PREFIX}requests_total`, help: 'Requests answered.', labelNames: ['route', 'method', 'status'] },
    this.#registry
  )
  readonly #requestSeconds = this.#hotHistogram(
    'request_duration_seconds',
    'From headers in to response out.',
    'route',
    REQUEST_SECONDS
  )
  readonly #lookups = new HotCounter(
    { name: `${PREFIX}session_lookups_total`, help: 'Session look-ups.', labelNames: ['source', 'outcome'] },
    this.#registry
  )
  readonly #lookupSeconds = this.#hotHistogram(
    'session_lookup_duration_seconds',
    'Time one look-up took.',
    'source',
    LOOKUP_SECONDS
  )
  readonly upstreams = new UpstreamMetrics(PREFIX, REQUEST_SECONDS, this.#registry)
  readonly #authEvents = this.#counter('auth_events_total', 'Sign-ins, sign-outs and their kind.', ['event', 'outcome'])
  readonly #revocations = this.#counter('revocations_total', 'Revocations in force on this node.', ['cause'])
  readonly #revocationLag = new Histogram({
    name: `${PREFIX}revocation_lag_seconds`,
    help: 'From the change itself until it was in force on this node.',
    buckets: REQUEST_SECONDS,
    registers: [this.#registry]
  })
  readonly #leaseWaits = new Histogram({
    name: `${PREFIX}lease_wait_seconds`,
    help: 'How long the answer to a change waited for the other nodes.',
    labelNames: ['outcome'],
    buckets: REQUEST_SECONDS,
    registers: [this.#registry]
  })
  readonly #rateLimited = this.#counter('rate_limited_total', 'Requests refused by a limit.', ['limit'])
  readonly #overloaded = this.#counter('overloaded_total', 'Requests refused because there were too many.', ['cause'])

  readonly #liveEnded = this.#counter('live_ended_total', 'WebSockets and streams ended by the gateway.', [
    'kind',
    'reason'
  ])

  /** Shown beside the other breakers. */
  upstreamLevels: () => Readonly<Record<string, number>> = () => ({})

  constructor() {
    collectDefaultMetrics({ register: this.#registry })
    // With WORKERS the first process collects from all of them.
    AggregatorRegistry.setRegistries(this.#registry)
  }

  /** Gauges know their value only when asked; the sources exist after the metrics do. */
  watch({ breakers, poolConnections, heartbeatAgeMs, pollAgeMs, outboxRows }: Gauges): void {
    const all = () => ({ ...breakers(), ...this.upstreamLevels() })
    this.#gauges('breaker_state', '0 closed, 0.5 half-open, 1 open.', 'dependency', all)
    this.#gauges('postgres_pool_connections', 'Connections of the look-up pool.', 'state', poolConnections)
    this.#gauge('poll_age_seconds', 'Since this process last applied the outbox.', () => pollAgeMs() / 1000)
    if (heartbeatAgeMs !== null) {
      const help = 'Since the heartbeat in Redis was renewed, by whatever node.'
      this.#gauge('heartbeat_age_seconds', help, async () => (await heartbeatAgeMs()) / 1000)
    }
    if (outboxRows !== null) this.#gauge('outbox_rows', 'Rows in the outbox; counted up to 10,001.', outboxRows)
  }

  /** Open WebSockets and streams, by kind. */
  watchLive(count: () => Readonly<Record<string, number>>): void {
    this.#gauges('live_connections', 'Open WebSockets and answers that go on.', 'kind', count)
  }

  /** How long a WebSocket was open is not how long a request took. */
  requestDone(route: string | null, method: string, status: number, totalMs: number): void {
    const name = route ?? 'none'
    this.#requests.inc(name, KNOWN_METHODS.has(method) ? method : 'OTHER', String(status))
    if (status !== SWITCHING_PROTOCOLS) this.#requestSeconds.observe(name, totalMs / 1000)
  }

  lookupDone(source: string, outcome: string, ms: number): void {
    this.#lookups.inc(source, outcome)
    this.#lookupSeconds.observe(source, ms / 1000)
  }

  authEvent(event: string, outcome: string): void {
    this.#authEvents.inc({ event, outcome })
  }

  revocationApplied(cause: string, lagMs: number): void {
    this.#revocations.inc({ cause })
    this.#revocationLag.observe(lagMs / 1000)
  }

  leaseWaited(ms: number, outcome: string): void {
    this.#leaseWaits.observe({ outcome }, ms / 1000)
  }

  liveEnded(kind: string, reason: string): void {
    this.#liveEnded.inc({ kind, reason: reason.toLowerCase() })
  }

  rateLimited(limit: string): void {
    this.#rateLimited.inc({ limit })
  }

  overloaded(cause: string): void {
    this.#overloaded.inc({ cause })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** The exposition text. */
  scrape(): Promise<string> {
    return this.#registry.metrics()
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name: PREFIX + name, help, labelNames, registers: [this.#registry] })
  }

  #hotHistogram(name: string, help: string, label: string, bounds: readonly number[]): HotHistogram {
    return new HotHistogram({ name: PREFIX + name, help, labelNames: [label] }, bounds, this.#registry)
  }

  /** Of several workers the worst counts. */
  #gauge(name: string, help: string, read: () => number | Promise<number>): void {
    const gauge = new Gauge({
      name: PREFIX + name,
      help,
      aggregator: 'max',
      registers: [this.#registry],
      collect: async () => {
        try {
          gauge.set(await read())
        } catch {
          gauge.remove()
        }
      }
    })
  }

  #gauges(name: string, help: string, label: string, read: () => Readonly<Record<string, number>>): void {
    const registers = [this.#registry]
    const gauge = new Gauge({
      name: PREFIX + name,
      help,
      labelNames: [label],
      registers,
      collect: () => {
        gauge.reset()
        for (const [key, value] of Object.entries(read())) gauge.set({ [label]: key }, value)
      }
    })
  }
}
