/** One target of an upstream: its connections, and how well it does. */
import type { Socket } from 'node:net'
import type { buildConnector } from 'undici'
import type { UpstreamConfig } from '../config/gateway-file.js'
import type { GatewayError } from '../errors.js'
import { Connection } from './connection.js'
import { connectorOf } from './connector.js'
import { type HealthListener, TargetHealth } from './target-health.js'

/** A bulkhead: one slow target cannot take every socket of the process. */
const MAX_CONNECTIONS = 1024

type TargetConfig = Pick<UpstreamConfig, 'connectTimeoutMs' | 'idleTimeoutMs' | 'health' | 'tls'>

export class Target {
  readonly origin: string
  /** Host, and port where it is not the scheme's own. */
  readonly authority: string
  readonly idleTimeoutMs: number
  readonly health: TargetHealth
  readonly #address: buildConnector.Options
  readonly #connector: buildConnector.connector
  /** The last one used is the first to be used again: the others reach their idle timeout. */
  readonly #free: Connection[] = []
  #open = 0
  #closed = false

  constructor(origin: string, config: TargetConfig, onChange: HealthListener) {
    const { host, hostname, protocol, port } = new URL(origin)
    this.origin = origin
    this.authority = host
    this.idleTimeoutMs = config.idleTimeoutMs
    this.health = new TargetHealth(config.health !== null, onChange)
    this.#connector = connectorOf(config, config.connectTimeoutMs)
    this.#address = { host, hostname: hostname.replace(/^\[|\]$/g, ''), protocol, port }
  }

  /** A connection under way; it says 'error' and 'close' itself, whatever becomes of it. */
  connect(callback: buildConnector.Callback): Socket {
    return this.#connector(this.#address, callback) as unknown as Socket
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
    return new Connection(this)
  }

  /** A call has failed before its answer began. What is not the target's doing does not count. */
  blame({ code, reason }: GatewayError, startedAt: number, { wasConnected }: Connection): void {
    if (code.startsWith('UPSTREAM_')) this.health.failed(reason ?? code.toLowerCase(), startedAt, wasConnected)
  }

  giveBack(connection: Connection): void {
    if (this.#closed || connection.isDead || connection.isOld) this.#drop(connection)
    else this.#free.push(connection)
  }

  /** Closes what is idle now and the rest as it is given back. */
  close(): void {
    this.#closed = true
    for (const connection of this.#free.splice(0)) this.#drop(connection)
  }

  #drop(connection: Connection): void {
    this.#open--
    connection.kill()
  }
}
