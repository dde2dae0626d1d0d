/** One question about one token on its way, and the only promise of a look-up. */
import type { GatewayError } from '../errors.js'
import type { FillQueue } from './fill-queue.js'
import type { LocalCache } from './local-cache.js'
import { hashToken, type Lookup, type LookupSource, type Session, type TokenHash } from './session.js'
import type { FillTicket } from './session-cache.js'
import type { StoreWaiter } from './store-waiter.js'
import type { StoredSession } from './stored-session.js'

export type LookupOutcome = 'live' | 'not_live' | 'banned' | 'unavailable'

/** Hears of every question asked, not of every request: those that shared an answer count once. */
export type LookupListener = (source: LookupSource, outcome: LookupOutcome, ms: number) => void

export class Flight implements StoreWaiter {
  readonly token: string
  readonly promise: Promise<Lookup>
  next: StoreWaiter | null = null
  since = 0
  /** Set when the cache missed and the entry is ours to fill. */
  ticket: FillTicket | null = null
  readonly #fills: FillQueue | null
  readonly #local: LocalCache | null
  /** Of the local cache, from before anybody was asked. */
  readonly #mark: number
  readonly #listener: LookupListener | undefined
  readonly #startedAt = performance.now()
  #hash: TokenHash | null = null
  #resolve!: (lookup: Lookup) => void
  #reject!: (error: GatewayError) => void

  constructor(token: string, fills: FillQueue | null, local: LocalCache | null, listener: LookupListener | undefined) {
    this.token = token
    this.#fills = fills
    this.#local = local
    this.#mark = local === null ? 0 : local.mark
    this.#listener = listener
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  get hash(): TokenHash {
    this.#hash ??= hashToken(this.token)
    return this.#hash
  }

  /** A hit of the shared cache. While that may not know what was dropped here, it is not taken over. */
  hit(session: Session): void {
    if (this.#local !== null && !this.#local.redisBehind) this.#local.put(this.#mark, this.token, this.hash, session)
    this.#answer({ session, source: 'redis', reason: null })
  }

  #answer(lookup: Lookup): void {
    this.#listener?.(lookup.source, lookup.reason ?? 'live', performance.now() - this.#startedAt)
    this.#resolve(lookup)
  }

  found(stored: StoredSession | null, askedAt: number): void {
    if (stored === null || stored.facts.banned) {
      this.#answer({ session: null, source: 'postgres', reason: stored === null ? 'not_live' : 'banned' })
      return
    }
    const { session, rotation } = stored.facts
    if (rotation !== null) {
      this.#answer({ session, source: 'postgres', reason: null, rotation })
      return
    }
    this.#local?.put(this.#mark, this.token, this.hash, session)
    if (this.ticket !== null) this.#fills?.add(this.ticket, this.hash, stored, askedAt)
    this.#answer({ session, source: 'postgres', reason: null })
  }

  failed(error: GatewayError): void {
    this.#listener?.('postgres', 'unavailable', performance.now() - this.#startedAt)
    this.#reject(error)
  }
}
