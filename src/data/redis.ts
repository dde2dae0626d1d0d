/**
 * The one connection to Redis. It answers within 50 ms or not at all, keeps no command for later, and knows
 * which incarnation of which server it talks to.
 *
 * `run` is that server's run id. Cache entries and leases are bound to it, so what a lagging replica or an old
 * snapshot brings back is worth nothing (revocation.md, counterexample 7). From `close` until the server behind
 * the next connection has said who it is, `run` is empty, which means: do not use the cache.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { Breaker } from './breaker.js'
import { parseRedisUrl } from './redis-address.js'

const COMMAND_TIMEOUT_MS = 50
const CONNECT_TIMEOUT_MS = 2000
const SILENCE_TIMEOUT_MS = 1000
const FIRST_RETRY_MS = 50
const LONGEST_RETRY_MS = 1000
const IDENTIFY_RETRY_MS = 100

/** The server behind the connection is not, or no longer, the master of our keys: connect again. */
const WRONG_SERVER = /READONLY|MOVED|MASTERDOWN/

const BEHAVIOUR = {
  enableOfflineQueue: false,
  // A FILL or INVAL of the last connection says nothing true on the next.
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  connectTimeout: CONNECT_TIMEOUT_MS,
  // A host that vanished sends no close.
  socketTimeout: SILENCE_TIMEOUT_MS,
  retryStrategy: retryDelay,
  sentinelRetryStrategy: retryDelay,
  reconnectOnError: (error: Error) => WRONG_SERVER.test(error.message)
}

export type RedisListener = (up: boolean, reason: string) => void

export class RedisLink {
  readonly client: Redis
  /** Guards what requests wait for. What nobody waits for needs no fuse. */
  readonly breaker = new Breaker()
  readonly #listener: RedisListener
  #run = ''
  /** What the listener was told last; null: nothing yet. */
  #up: boolean | null = null
  #connection = 0
  #lastError = 'closed'

  /**
   * `listener` hears whether the server can be used, first of all and after every change. Tests on a busy machine need
   * a longer `timeoutMs`.
   */
  constructor(url: string, listener: RedisListener = () => {}, timeoutMs: number = COMMAND_TIMEOUT_MS) {
    this.#listener = listener
    this.client = new Redis({ ...parseRedisUrl(url), ...BEHAVIOUR, commandTimeout: timeoutMs })
    this.client.on('error', (error: NodeJS.ErrnoException) => {
      this.#lastError = error.code ?? error.message
      // Where no Sentinel answers there is no connection that could close.
      if (this.#run === '') this.#tell(false, this.#lastError)
    })
    this.client.on('ready', () => void this.#identify(++this.#connection))
    this.client.on('close', () => this.#lost())
  }

  /** Run id of the server behind the present connection; empty while there is none or it is unknown. */
  get run(): string {
    return this.#run
  }

  /** Ends the connection, and tells nobody. What is under way is lost; nothing of ours minds. */
  close(): void {
    this.#connection++
    this.#run = ''
    this.#up = false
    this.client.disconnect()
  }

  async #identify(connection: number): Promise<void> {
    while (connection === this.#connection) {
      const info = await this.client.info('server').catch((error: Error) => {
        if (connection === this.#connection) this.#tell(false, error.message)
        return ''
      })
      if (connection !== this.#connection) return
      const [, run = ''] = /^run_id:(\w+)/m.exec(info) ?? []
      if (run !== '') {
        this.#run = run
        this.#tell(true, 'connected')
        return
      }
      await sleep(IDENTIFY_RETRY_MS, undefined, { ref: false })
    }
  }

  #lost(): void {
    this.#connection++
    this.#run = ''
    this.#tell(false, this.#lastError)
  }

  #tell(up: boolean, reason: string): void {
    if (up === this.#up) return
    this.#up = up
    this.#listener(up, reason)
  }
}

/** Doubles up to a second, spread so that a fleet does not come back in step. */
function retryDelay(attempt: number): number {
  const delay = Math.min(FIRST_RETRY_MS * 2 ** (attempt - 1), LONGEST_RETRY_MS)
  return delay * (0.75 + Math.random() / 4)
}
