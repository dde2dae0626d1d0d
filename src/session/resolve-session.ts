/**
 * From token to session: this process's memory, Redis, else PostgreSQL. Look-ups of one event-loop turn go together,
 * one script call for all of them and one statement for what it missed: a third of the cost of asking one by one. The
 * same turn's look-ups of one token share an answer; nobody joins a question that was already asked (departures.ts).
 */
import type { DatabaseClock } from './database-clock.js'
import { Departures } from './departures.js'
import { FillQueue } from './fill-queue.js'
import { Flight, type LookupListener } from './flight.js'
import type { LocalCache, LocalKey } from './local-cache.js'
import type { Lookup, Session } from './session.js'
import type { RedisSessionCache } from './session-cache.js'
import type { SessionStore } from './session-store.js'

const MAX_BATCH = 500
/** Ten times what Redis needs for an answer. */
const SOON_MS = 2

export interface ResolverOptions {
  /** Null: what memory does not hold, PostgreSQL is asked for. */
  readonly cache: RedisSessionCache | null
  readonly local: LocalCache | null
  readonly store: SessionStore
  readonly clock: DatabaseClock
  readonly listener?: LookupListener
}

export class SessionResolver {
  readonly #cache: RedisSessionCache | null
  readonly #local: LocalCache | null
  readonly #fills: FillQueue | null
  readonly #store: SessionStore
  readonly #clock: DatabaseClock
  readonly #listener: LookupListener | undefined
  readonly #departures: Departures
  #waiting = new Map<string, Flight>()

  constructor({ cache, local, store, clock, listener }: ResolverOptions) {
    this.#cache = cache
    this.#local = local
    this.#fills = cache === null ? null : new FillQueue(cache)
    this.#store = store
    this.#clock = clock
    this.#listener = listener
    this.#departures = new Departures({
      // What Redis does not answer within 50 ms is given up.
      most: Number.POSITIVE_INFINITY,
      soonMs: SOON_MS,
      hasWaiting: () => this.#waiting.size > 0,
      send: () => this.#askCache()
    })
  }

  /** Without any I/O, from memory; null says nothing. Call it when the request's headers are complete, not before. */
  remembered(key: LocalKey): Session | null {
    if (this.#local === null) return null
    const now = performance.now()
    const session = this.#local.get(key, now)
    if (session === null || session.expiresAt <= this.#clock.at(now)) return null
    this.#listener?.('local', 'live', 0)
    return session
  }

  /**
   * `strict`: ask PostgreSQL whatever the cache knows (R52). Rejects with AUTH_SERVICE_UNAVAILABLE and nothing else.
   */
  resolve(token: string, strict: boolean): Promise<Lookup> {
    if (strict || this.#cache === null) {
      const flight = new Flight(token, null, strict ? null : this.#local, this.#listener)
      this.#store.ask(flight)
      return flight.promise
    }
    const shared = this.#waiting.get(token)
    if (shared !== undefined) return shared.promise
    const flight = new Flight(token, this.#fills, this.#local, this.#listener)
    this.#waiting.set(token, flight)
    if (this.#waiting.size === MAX_BATCH) this.#departures.now()
    else this.#departures.call()
    return flight.promise
  }

  async #askCache(): Promise<void> {
    const flights = [...this.#waiting.values()]
    this.#waiting = new Map()
    const reply = await this.#cache?.lookup(flights.map(({ hash }) => hash))
    const now = this.#clock.now()
    flights.forEach((flight, i) => {
      const answer = reply?.answers[i] ?? 'missed'
      if (answer !== 'missed' && answer !== 'leased' && answer.expiresAt > now) {
        flight.hit(answer)
        return
      }
      if (answer === 'leased') flight.ticket = reply?.ticket ?? null
      this.#store.ask(flight)
    })
  }
}
