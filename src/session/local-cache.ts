/**
 * The cache in this process's own memory: a hit costs no I/O. It is used only while this node's own reading of the
 * outbox proves that every change committed a lease ago is applied in it, so nobody has to reach us to revoke.
 * An entry stays for many leases: each proof renews all of them (docs/revocation.md, ADR 0012).
 */
import type { Session, TokenHash } from './session.js'
import type { RevocationEvent } from './session-cache.js'

/** About 20 MB when full. */
const MAX_ENTRIES = 20_000

/** What is kept of a session. Whoever holds on to it sees it lose the session when it is dropped. */
export interface LocalEntry {
  readonly hash: TokenHash
  session: Session | null
  /** By performance.now(), in whole milliseconds. */
  readonly usableUntil: number
}

/** A token, and where its session was found last, so that the next request finds it without a search. */
export interface LocalKey {
  readonly token: string
  entry: LocalEntry | null
}

export class LocalCache {
  readonly #maxAgeMs: number
  readonly #entries = new Map<string, LocalEntry>()
  readonly #tokens = new Map<TokenHash, string>()
  readonly #tokensOfUser = new Map<string, Set<string>>()
  #drops = 0
  #redisBehind = false
  #provenUntil = Number.NEGATIVE_INFINITY

  constructor(maxAgeMs: number) {
    this.#maxAgeMs = maxAgeMs
  }

  /** Take it before a session is looked up, and hand it to `put`: what was dropped in between must not come back. */
  get mark(): number {
    return this.#drops
  }

  /** Events were dropped here that Redis may not know of: what it says is not taken over. */
  get redisBehind(): boolean {
    return this.#redisBehind
  }

  setRedisBehind(behind: boolean): void {
    // An answer of Redis that is still under way may be older than what was caught up with.
    if (this.#redisBehind && !behind) this.#drops++
    this.#redisBehind = behind
  }

  get size(): number {
    return this.#entries.size
  }

  /** `now`: performance.now(), read after the request's headers were complete. */
  get(key: LocalKey, now: number): Session | null {
    if (now >= this.#provenUntil) return null
    let { entry } = key
    if (entry === null || entry.session === null) {
      entry = this.#entries.get(key.token) ?? null
      key.entry = entry
      if (entry === null) return null
    }
    if (now < entry.usableUntil) return entry.session
    this.#remove(key.token, entry)
    return null
  }

  put(mark: number, token: string, hash: TokenHash, session: Session): void {
    if (mark !== this.#drops) return
    const now = performance.now()
    if (now >= this.#provenUntil) return
    const old = this.#entries.get(token)
    if (old !== undefined) this.#remove(token, old)
    else if (this.#entries.size >= MAX_ENTRIES) this.#removeOldest()
    this.#entries.set(token, { hash, session, usableUntil: Math.floor(now + this.#maxAgeMs) })
    this.#tokens.set(hash, token)
    const ofUser = this.#tokensOfUser.get(session.userId)
    if (ofUser === undefined) this.#tokensOfUser.set(session.userId, new Set([token]))
    else ofUser.add(token)
  }

  drop(events: readonly RevocationEvent[]): void {
    if (events.length === 0) return
    this.#drops++
    for (const { kind, key } of events) {
      if (kind === 'user') for (const token of this.#tokensOfUser.get(key) ?? []) this.#dropToken(token)
      else this.#dropToken(this.#tokens.get(key as TokenHash))
    }
  }

  clear(): void {
    this.#drops++
    for (const entry of this.#entries.values()) entry.session = null
    this.#entries.clear()
    this.#tokens.clear()
    this.#tokensOfUser.clear()
  }

  /** Every change committed before the proof began is applied: usable until then, by performance.now(). */
  prove(until: number): void {
    this.#provenUntil = until
  }

  #dropToken(token: string | undefined): void {
    const entry = token === undefined ? undefined : this.#entries.get(token)
    if (token !== undefined && entry !== undefined) this.#remove(token, entry)
  }

  #removeOldest(): void {
    for (const [token, entry] of this.#entries) return this.#remove(token, entry)
  }

  #remove(token: string, entry: LocalEntry): void {
    const { hash, session } = entry
    entry.session = null
    this.#entries.delete(token)
    this.#tokens.delete(hash)
    if (session === null) return
    const ofUser = this.#tokensOfUser.get(session.userId)
    ofUser?.delete(token)
    if (ofUser?.size === 0) this.#tokensOfUser.delete(session.userId)
  }
}
