/**
 * The services behind the gateway: which target takes a call, and what happens when none is free.
 * A call waits in a queue that is bounded in length and in time, so an upstream that hangs costs its own
 * callers a 503 and nobody else anything.
 */
import type { UpstreamConfig } from '../config/gateway-file.js'
import type { GatewayError } from '../errors.js'
import { type Connection, Target } from './connections.js'
import { overloaded } from './upstream-error.js'

const MAX_WAITING = 1024

/** What waits for a connection. Exactly one of the two is called, unless it was withdrawn. */
export interface Call {
  /** Must end in `upstream.release(connection)`. */
  send: (connection: Connection) => void
  refuse: (error: GatewayError) => void
}

export class Upstream {
  readonly name: string
  /** `Bearer <internal key>`, or null. */
  readonly authorization: string | null
  /** Audience of X-Gateway-Assertion, or null. */
  readonly audience: string | null
  readonly maxBodyBytes: number | null
  readonly idleTimeoutMs: number
  /** WebSockets one user may hold open in this process. */
  readonly maxSockets: number
  readonly #waitMs: number
  readonly #targets: readonly Target[]
  readonly #waiting = new Map<Call, NodeJS.Timeout>()
  #turn = 0

  constructor(config: UpstreamConfig) {
    this.name = config.name
    this.authorization = config.internalKey === null ? null : `Bearer ${config.internalKey}`
    this.audience = config.audience
    this.maxBodyBytes = config.maxBodyBytes
    this.idleTimeoutMs = config.idleTimeoutMs
    this.maxSockets = config.maxSockets
    // The time in which a connection must be had, whether it is opened or waited for.
    this.#waitMs = config.connectTimeoutMs
    this.#targets = config.targets.map(origin => new Target(origin, config))
  }

  /** Sends the call at once, lets it wait, or refuses it with UPSTREAM_OVERLOADED. */
  submit(call: Call): void {
    const connection = this.#leastLoaded().take()
    if (connection !== null) call.send(connection)
    else if (this.#waiting.size >= MAX_WAITING) call.refuse(overloaded('queue_full'))
    else {
      const timer = setTimeout(() => {
        this.#waiting.delete(call)
        call.refuse(overloaded('queue_timeout'))
      }, this.#waitMs)
      this.#waiting.set(call, timer)
    }
  }

  /** False when the call is not waiting (any more). */
  withdraw(call: Call): boolean {
    clearTimeout(this.#waiting.get(call))
    return this.#waiting.delete(call)
  }

  /** Takes back a connection whose call has ended; whoever waits longest gets it, or another in its place. */
  release(connection: Connection): void {
    const { target } = connection
    target.giveBack(connection)
    if (this.#waiting.size === 0) return
    const [call] = this.#waiting.keys()
    const free = target.take()
    if (call === undefined || free === null) return
    this.withdraw(call)
    call.send(free)
  }

  /** Running calls go on; their connections are closed when they end. */
  async close(): Promise<void> {
    await Promise.all(this.#targets.map(target => target.close()))
  }

  /** Ties go round, so that idle targets share the work. */
  #leastLoaded(): Target {
    const targets = this.#targets
    let best = targets[this.#turn++ % targets.length] as Target
    for (const target of targets) if (target.running < best.running) best = target
    return best
  }
}

export class Upstreams {
  #configs = new Map<string, string>()
  #upstreams = new Map<string, Upstream>()

  constructor(configs: readonly UpstreamConfig[]) {
    this.replace(configs)
  }

  /** Looked up once when the routes are compiled. Throws for a name the configuration check let through. */
  get(name: string): Upstream {
    const upstream = this.#upstreams.get(name)
    if (upstream === undefined) throw new Error(`no upstream is called ${name}`)
    return upstream
  }

  /** Another set of upstreams in force from now on. An unchanged one keeps its connections; running calls go on. */
  replace(configs: readonly UpstreamConfig[]): void {
    const before = { configs: this.#configs, upstreams: this.#upstreams }
    this.#configs = new Map(configs.map(config => [config.name, JSON.stringify(config)]))
    this.#upstreams = new Map(
      configs.map(config => {
        const same = before.configs.get(config.name) === this.#configs.get(config.name)
        return [config.name, (same && before.upstreams.get(config.name)) || new Upstream(config)]
      })
    )
    for (const [name, upstream] of before.upstreams) {
      if (this.#upstreams.get(name) !== upstream) void upstream.close()
    }
  }

  /** Resolves when idle connections are closed. */
  async close(): Promise<void> {
    await Promise.all([...this.#upstreams.values()].map(upstream => upstream.close()))
  }
}
