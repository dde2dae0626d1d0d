/**
 * One service behind the gateway: which target takes a call, and what happens when none is free.
 * A call waits in a queue that is bounded in length and in time, so an upstream that hangs costs its own
 * callers a 503 and nobody else anything.
 *
 * A target that is out gets nothing, unless all are: then each gets its share as if nothing were known (Envoy's
 * panic mode, at 0 % rather than 50 %). Refusing would save the callers a wait that the connect timeout and the
 * queue bound already, and it would make an outage longer than it is, or one of what is none: a health path that
 * fails everywhere with a database they share, a resolver of ours that hiccups. Except those that take calls and lose
 * them: who does nothing but try again would keep such a service down (K22).
 */
import type { UpstreamConfig } from '../config/gateway-file.js'
import type { GatewayError } from '../errors.js'
import type { Connection } from './connection.js'
import { checkTargets } from './health-checks.js'
import { Retries } from './retries.js'
import { Target } from './target.js'
import type { UpstreamEvents } from './upstream-events.js'
import { overloaded } from './upstream-error.js'

const MAX_WAITING = 1024

/** What waits for a connection. Exactly one of the two is called, unless it was withdrawn. */
export interface Call {
  /** Must end in `upstream.release(connection)`. */
  send: (connection: Connection) => void
  refuse: (error: GatewayError) => void
  /** Where it has failed before: gets it again only when there is no other. */
  readonly avoid: Target | null
}

export class Upstream {
  readonly name: string
  /** `Bearer <internal key>`, or null. */
  readonly authorization: string | null
  /** Audience of X-Gateway-Assertion, or null. */
  readonly audience: string | null
  /** Host, and port where it is not the scheme's own, of every target. */
  readonly authorities: ReadonlySet<string>
  readonly maxBodyBytes: number | null
  readonly headersTimeoutMs: number
  readonly idleTimeoutMs: number
  /** WebSockets one user may hold open in this process. */
  readonly maxSockets: number
  readonly retries: Retries
  readonly #asksOthers: boolean
  readonly #waitMs: number
  readonly #targets: readonly Target[]
  readonly #waiting = new Map<Call, NodeJS.Timeout>()
  readonly #closing = new AbortController()
  #turn = 0

  constructor(config: UpstreamConfig, { onChange, onRetry }: UpstreamEvents) {
    this.name = config.name
    this.authorization = config.internalKey === null ? null : `Bearer ${config.internalKey}`
    this.audience = config.audience
    this.authorities = new Set(config.targets.map(origin => new URL(origin).host))
    this.maxBodyBytes = config.maxBodyBytes
    this.headersTimeoutMs = config.headersTimeoutMs
    this.idleTimeoutMs = config.idleTimeoutMs
    this.maxSockets = config.maxSockets
    // The time in which a connection must be had, whether it is opened or waited for.
    this.#waitMs = config.connectTimeoutMs
    this.retries = new Retries(config.retries, config.headersTimeoutMs, () => onRetry(config.name))
    this.#asksOthers = config.retries > 0 && config.targets.length > 1
    this.#targets = config.targets.map(origin => {
      const target = hostAndPort(origin)
      return new Target(origin, config, (out, reason) => onChange({ upstream: config.name, target, out, reason }))
    })
    checkTargets(this.#targets, config, this.#closing.signal)
  }

  /** How many targets there are, and how many of them get calls. */
  get targets(): { readonly all: number; readonly well: number } {
    return { all: this.#targets.length, well: this.#targets.filter(({ health }) => !health.out).length }
  }

  /** Sends the call at once, lets it wait, or refuses it with UPSTREAM_OVERLOADED. */
  submit(call: Call): void {
    const target = this.#pick(call.avoid)
    if (target === null) return call.refuse(overloaded('breaker_open'))
    const connection = target.take()
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

  /**
   * Whether what died with a kept-alive connection is sent once more to the same target. Not where `retries` will ask
   * another one: should the target be dead, that would be two extra calls in place of one.
   */
  mayRepeat(): boolean {
    return !this.#asksOthers && this.retries.spend()
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
    if (call === undefined) return
    const free = this.#pick(call.avoid)?.take()
    if (free === undefined || free === null) return
    this.withdraw(call)
    call.send(free)
  }

  /** Running calls go on; their connections are closed when they end. */
  close(): void {
    this.#closing.abort()
    for (const target of this.#targets) target.close()
  }

  /** The least loaded of those that are well; one that is due for a try comes first. Ties go round. Null: none. */
  #pick(avoid: Target | null): Target | null {
    const targets = this.#targets
    const [only] = targets
    if (targets.length === 1 && only?.health.out === false) return only
    const turn = this.#turn++
    let best: Target | null = null
    let least = Number.POSITIVE_INFINITY
    for (let i = 0; i < targets.length; i++) {
      const target = targets[(turn + i) % targets.length] as Target
      if (target === avoid) continue
      if (target.health.out) {
        if (target.health.takesTry()) return target
        continue
      }
      const load = (target.running + 1) / target.health.share
      if (load >= least) continue
      best = target
      least = load
    }
    if (best !== null) return best
    return avoid !== null && !avoid.health.out ? avoid : this.#whenAllAreOut(avoid, turn)
  }

  #whenAllAreOut(avoid: Target | null, turn: number): Target | null {
    const open = this.#targets.filter(({ health }) => !health.breaks)
    const others = open.filter(target => target !== avoid)
    const choice = others.length > 0 ? others : open
    if (choice.length === 0) return null
    let best = choice[turn % choice.length] as Target
    for (const target of choice) if (target.running < best.running) best = target
    return best
  }
}

function hostAndPort(origin: string): string {
  const { hostname, port, protocol } = new URL(origin)
  return `${hostname}:${port || (protocol === 'https:' ? '443' : '80')}`
}
