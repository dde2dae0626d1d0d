/** Gathers what one answer of PostgreSQL brought for the cache, and sends what belongs to one look-up as one FILL. */
import type { TokenHash } from './session.js'
import type { CacheFill, FillTicket, RedisSessionCache } from './session-cache.js'
import type { StoredSession } from './stored-session.js'

export class FillQueue {
  readonly #cache: RedisSessionCache
  #fills = new Map<FillTicket, CacheFill[]>()

  constructor(cache: RedisSessionCache) {
    this.#cache = cache
  }

  /** Only live sessions come here. `askedAt`: performance.now() before the read; what is left counts from there. */
  add(ticket: FillTicket, hash: TokenHash, { facts, secondsLeft }: StoredSession, askedAt: number): void {
    if (this.#fills.size === 0) queueMicrotask(() => this.#send())
    const fill = { hash, session: facts.session, leftMs: secondsLeft * 1000 - (performance.now() - askedAt) }
    const others = this.#fills.get(ticket)
    if (others === undefined) this.#fills.set(ticket, [fill])
    else others.push(fill)
  }

  #send(): void {
    const all = this.#fills
    this.#fills = new Map()
    for (const [ticket, fills] of all) void this.#cache.fill(ticket, fills)
  }
}
