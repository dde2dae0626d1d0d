/**
 * The connections to one target. Each is an undici Client with at most one call on it, so a connection that
 * fails, fails one call, and whoever sends a call knows whether its connection has served before.
 * undici's Pool is not used: its queue has no bound and no time limit, a waiting call cannot be withdrawn, and
 * it searches all its connections for a free one at every dispatch.
 */
import { Socket } from 'node:net'
import { type buildConnector, Client, type Dispatcher } from 'undici'
import type { UpstreamConfig } from '../config/gateway-file.js'
import type { GatewayError } from '../errors.js'
import { connectorOf } from './connector.js'
import { withoutContinue } from './interim.js'
import { type HealthListener, TargetHealth } from './target-health.js'

/** A bulkhead: one slow target cannot take every socket of the process. */
const MAX_CONNECTIONS = 1024
/** Well below the idle timeouts of firewalls, whatever the target's Keep-Alive header promises. */
const LONGEST_IDLE_MS = 60_000
/** A name may come to mean another address, and under load no connection would ever be idle. */
const LONGEST_LIFE_MS = 60_000
/** What was opened in one rush shall not end in one. */
const JITTER = 0.2

export class Connection {
  readonly target: Target
  readonly #client: Client
  #awaitsAnswer = false
  #served = 0
  #dead = false
  #connected = false
  #oldAt = Number.POSITIVE_INFINITY

  constructor(target: Target, connector: buildConnector.connector, options: Client.Options) {
    this.target = target
    this.#client = new Client(target.origin, {
      ...options,
      connect: (address, callback) =>
        connector(address, (...result) => {
          this.#served = 0
          this.#oldAt = performance.now() + LONGEST_LIFE_MS * (1 - JITTER * Math.random())
          this.#connected = result[0] === null
          if (result[0] === null) this.#adopt(result[1])
          callback(...result)
        })
    })
  }

  /** Answered a call since it was opened: it may have died unnoticed while idle. Sent again, a call opens a new one. */
  get hasServed(): boolean {
    return this.#served > 0
  }

  /** False after a failure: the connection for the call did not come about, so the target has seen nothing of it. */
  get wasConnected(): boolean {
    return this.#connected
  }

  send(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
    this.#awaitsAnswer = true
    this.#client.dispatch(options, handler)
  }

  answered(): void {
    this.#served++
  }

  get isDead(): boolean {
    return this.#dead
  }

  get isOld(): boolean {
    return performance.now() > this.#oldAt
  }

  /**
   * Ends the call that is on it, whose handler gets `onError`, and the connection with it. Used after every
   * failure: left alone, undici opens another connection for a call that was aborted, and after some TLS
   * failures it waits for ever.
   */
  kill(): void {
    if (this.#dead) return
    this.#dead = true
    void this.#client.destroy()
  }

  /** After a 101: the socket belongs to whoever was told of it, and nothing of HTTP is left here. */
  handOver(socket: Socket): void {
    // Deleting ours would make it a slow object, of 3 kB more: 15 of 85 MB for 5,000 WebSockets (2026-11-21).
    socket.read = Socket.prototype.read
    this.kill()
  }

  async close(): Promise<void> {
    if (!this.#dead) await this.#client.close()
  }

  #adopt(socket: Socket): void {
    const read = socket.read.bind(socket)
    // undici takes a 100 (Continue) it did not ask for as a failure; RFC 9110 section 15.2 has clients skip it.
    socket.read = size => {
      const chunk: Buffer | null = read(size)
      if (!this.#awaitsAnswer || chunk === null) return chunk
      const answer = withoutContinue(chunk)
      this.#awaitsAnswer = answer.length === 0
      return answer
    }
  }
}

type TargetConfig = Pick<UpstreamConfig, 'connectTimeoutMs' | 'headersTimeoutMs' | 'idleTimeoutMs' | 'health' | 'tls'>

export class Target {
  readonly origin: string
  readonly health: TargetHealth
  readonly #connector: buildConnector.connector
  readonly #options: Client.Options
  /** The last one used is the first to be used again: the others reach their idle timeout. */
  readonly #free: Connection[] = []
  #open = 0
  #closed = false

  constructor(origin: string, config: TargetConfig, onChange: HealthListener) {
    const { headersTimeoutMs, idleTimeoutMs } = config
    this.origin = origin
    this.health = new TargetHealth(config.health !== null, onChange)
    this.#connector = connectorOf(config, config.connectTimeoutMs)
    this.#options = {
      headersTimeout: headersTimeoutMs,
      bodyTimeout: idleTimeoutMs,
      keepAliveMaxTimeout: LONGEST_IDLE_MS,
      pipelining: 1
    }
  }

  /** Calls that are on the way now. */
  get running(): number {
    return this.#open - this.#free.length
  }

  /** A free connection, or a new one; null when all are taken. Connecting happens when the first call is sent. */
  take(): Connection | null {
    const free = this.#free.pop()
    if (free !== undefined) return free
    if (this.#open >= MAX_CONNECTIONS) return null
    this.#open++
    return new Connection(this, this.#connector, this.#options)
  }

  /** A call has failed before its answer began. What is not the target's doing does not count. */
  blame({ code, reason }: GatewayError, startedAt: number, { wasConnected }: Connection): void {
    if (code.startsWith('UPSTREAM_')) this.health.failed(reason ?? code.toLowerCase(), startedAt, wasConnected)
  }

  giveBack(connection: Connection): void {
    if (this.#closed || connection.isDead || connection.isOld) void this.#drop(connection)
    else this.#free.push(connection)
  }

  /** Closes what is idle now and the rest as it is given back. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#free.splice(0).map(connection => this.#drop(connection)))
  }

  #drop(connection: Connection): Promise<void> {
    this.#open--
    return connection.close()
  }
}
