/**
 * The connections to one target. Each is an undici Client with at most one call on it, so a connection that
 * fails, fails one call, and whoever sends a call knows whether its connection has served before.
 * undici's Pool is not used: its queue has no bound and no time limit, a waiting call cannot be withdrawn, and
 * it searches all its connections for a free one at every dispatch.
 */
import { buildConnector, Client } from 'undici'
import type { UpstreamConfig } from '../config/gateway-file.js'

/** A bulkhead: one slow target cannot take every socket of the process. */
const MAX_CONNECTIONS = 1024
/** Well below the idle timeouts of firewalls, whatever the target's Keep-Alive header promises. */
const LONGEST_IDLE_MS = 60_000

export interface Connection {
  readonly client: Client
  readonly target: Target
  /** Calls answered since it was opened: above 0 it may have died unnoticed while idle. */
  served: number
}

type Timeouts = Pick<UpstreamConfig, 'connectTimeoutMs' | 'headersTimeoutMs' | 'idleTimeoutMs'>

export class Target {
  readonly #origin: string
  readonly #options: Client.Options
  readonly #connections = new Set<Connection>()
  /** The last one used is the first to be used again: the others reach their idle timeout. */
  readonly #free: Connection[] = []
  #closed = false

  constructor(origin: string, { connectTimeoutMs, headersTimeoutMs, idleTimeoutMs }: Timeouts) {
    this.#origin = origin
    this.#options = {
      // Said explicitly: NODE_TLS_REJECT_UNAUTHORIZED=0 does not reach this connection.
      connect: buildConnector({ timeout: connectTimeoutMs, rejectUnauthorized: true }),
      headersTimeout: headersTimeoutMs,
      bodyTimeout: idleTimeoutMs,
      keepAliveMaxTimeout: LONGEST_IDLE_MS,
      pipelining: 1
    }
  }

  /** Calls that are on the way now. */
  get running(): number {
    return this.#connections.size - this.#free.length
  }

  /** A free connection, or a new one; null when all are taken. Connecting happens when the first call is sent. */
  take(): Connection | null {
    const free = this.#free.pop()
    if (free !== undefined) return free
    if (this.#connections.size >= MAX_CONNECTIONS) return null
    const connection: Connection = { client: new Client(this.#origin, this.#options), target: this, served: 0 }
    connection.client.on('connect', () => {
      connection.served = 0
    })
    this.#connections.add(connection)
    return connection
  }

  giveBack(connection: Connection): void {
    if (this.#closed) this.#drop(connection)
    else this.#free.push(connection)
  }

  /** Closes what is idle now and the rest as it is given back. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#free.splice(0).map(connection => this.#drop(connection)))
  }

  #drop(connection: Connection): Promise<void> {
    this.#connections.delete(connection)
    return connection.client.close()
  }
}
