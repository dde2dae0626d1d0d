/**
 * What outlives the check at its beginning: WebSockets, event streams, long downloads. Each stands under the session it
 * was opened with. Where the outbox says that something about a session or its user has changed, PostgreSQL is asked
 * once for that session, and what it says decides (G3). Nothing ends on suspicion: while PostgreSQL does not answer,
 * only a session whose end has passed in the meantime ends.
 */
import type { Clock } from '../clock.js'
import type { ErrorCode } from '../errors.js'
import { type LiveOwner, LiveOwners } from './live-owners.js'
import type { Lookup, Session, TokenHash } from './session.js'
import type { RevocationEvent } from './session-cache.js'

export interface LiveConnection {
  readonly kind: 'websocket' | 'stream'
  /** Why the owner of this session, as it is now, may not go on using it; null: may. */
  readonly refusal: (session: Session) => ErrorCode | null
  /** DRAINING may be ignored by what will be over soon. May be called more than once. */
  readonly end: (why: ErrorCode) => void
}

export interface Opened {
  readonly token: string
  readonly session: Session
  /** performance.now() from before the session was looked up: what changed since may be news. */
  readonly since: number
}

export interface LiveConnectionsOptions {
  /** Asks PostgreSQL, whatever the caches know. Rejects while that cannot be known. */
  readonly lookUp: (token: string) => Promise<Lookup>
  /** The database's clock. */
  readonly now: Clock
}

const TICK_MS = 250
const RETRY_MS = 1000
/** How often every session is asked about while no event can be heard of. */
const DEAF_MS = 1000
/** So many are asked about at once where it is about everybody: requests wait in the same queue. */
const AT_ONCE = 500

export class LiveConnections {
  readonly #options: LiveConnectionsOptions
  readonly #all = new Map<LiveConnection, LiveOwner | null>()
  readonly #owners = new LiveOwners()
  /** To be asked about in their turn. */
  readonly #waiting = new Set<LiveOwner>()
  #underWay = 0
  #changedAt = Number.NEGATIVE_INFINITY
  #deaf = false
  #draining = false
  #timer: NodeJS.Timeout | undefined

  constructor(options: LiveConnectionsOptions) {
    this.#options = options
  }

  /**
   * `opened` null: an anonymous caller, whom only the drain concerns. Call what it returns when the connection is gone.
   */
  add(connection: LiveConnection, opened: Opened | null): () => void {
    const owner = opened === null ? null : this.#owners.of(opened.token, opened.session)
    this.#all.set(connection, owner)
    owner?.connections.add(connection)
    if (owner !== null) this.#timer ??= setInterval(() => this.#tick(), TICK_MS).unref()
    if (this.#draining) connection.end('DRAINING')
    if (owner !== null && opened !== null && opened.since <= this.#changedAt) void this.#ask(owner)
    return () => this.#remove(connection)
  }

  count(kind: LiveConnection['kind']): number {
    let count = 0
    for (const connection of this.#all.keys()) if (connection.kind === kind) count++
    return count
  }

  /** Something about this session or user has changed. */
  changed({ kind, key }: RevocationEvent): void {
    this.#changedAt = performance.now()
    const owner = kind === 'user' ? undefined : this.#owners.ofHash(key as TokenHash)
    if (owner !== undefined) void this.#ask(owner)
    if (kind === 'user') for (const each of this.#owners.ofUser(key)) void this.#ask(each)
  }

  /** Nobody can say what has changed: another database, too many events, a long silence. */
  changedUnknown(): void {
    this.#changedAt = performance.now()
    for (const owner of this.#owners.all()) this.#waiting.add(owner)
    this.#askWaiting()
  }

  /** True while no event will tell of a change (no triggers): then every session is asked about, each second. */
  set deaf(deaf: boolean) {
    this.#deaf = deaf
  }

  /** From now on also for whatever is added. */
  drain(): void {
    this.#draining = true
    for (const connection of this.#all.keys()) connection.end('DRAINING')
  }

  #remove(connection: LiveConnection): void {
    const owner = this.#all.get(connection)
    this.#all.delete(connection)
    if (owner == null) return
    owner.connections.delete(connection)
    if (owner.connections.size === 0) this.#owners.forget(owner)
    if (this.#owners.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** A renewal tells nobody of a later end, so whoever seems to have expired is asked about. */
  #tick(): void {
    const now = this.#options.now()
    const at = performance.now()
    for (const owner of this.#owners.all()) {
      if (this.#deaf && owner.askAt === Number.POSITIVE_INFINITY) owner.askAt = at + DEAF_MS
      const due = owner.askAt === Number.POSITIVE_INFINITY ? owner.session.expiresAt <= now : owner.askAt <= at
      if (due && !owner.asking) this.#waiting.add(owner)
    }
    this.#askWaiting()
  }

  #askWaiting(): void {
    for (const owner of this.#waiting) {
      if (this.#underWay >= AT_ONCE) return
      this.#waiting.delete(owner)
      if (owner.connections.size === 0) continue
      this.#underWay++
      void this.#ask(owner).then(() => {
        this.#underWay--
        this.#askWaiting()
      })
    }
  }

  #rename(owner: LiveOwner, token: string): void {
    const other = this.#owners.rename(owner, token)
    if (other === undefined) return
    if (other.asking || other.askAt !== Number.POSITIVE_INFINITY || this.#waiting.has(other)) owner.doubted = true
    for (const connection of other.connections) {
      owner.connections.add(connection)
      this.#all.set(connection, owner)
    }
    other.connections.clear()
  }

  /** A change that comes while an answer is on its way may have missed it: then it is asked again. */
  async #ask(owner: LiveOwner): Promise<void> {
    owner.doubted = true
    if (owner.asking) return
    owner.asking = true
    try {
      while (owner.doubted) {
        owner.doubted = false
        const since = performance.now()
        const lookup = await this.#options.lookUp(owner.token)
        if (owner.connections.size === 0) return
        const rotation = lookup.session === null ? null : lookup.rotation
        if (typeof rotation === 'object' && rotation !== null) {
          this.#rename(owner, rotation.token)
          // An event of the new token has found nobody under it.
          if (since <= this.#changedAt) owner.doubted = true
        }
        judge(owner, lookup.session)
      }
      owner.askAt = Number.POSITIVE_INFINITY
    } catch {
      owner.askAt = performance.now() + RETRY_MS
      // It may have been renewed, but nobody can say so.
      if (owner.session.expiresAt <= this.#options.now()) endAll(owner, 'AUTH_SERVICE_UNAVAILABLE')
    } finally {
      owner.asking = false
    }
  }
}

function judge(owner: LiveOwner, session: Session | null): void {
  if (session === null || session.id !== owner.session.id || session.userId !== owner.session.userId) {
    endAll(owner, 'INVALID_SESSION')
    return
  }
  owner.session = session
  for (const connection of owner.connections) {
    const why = connection.refusal(session)
    if (why !== null) connection.end(why)
  }
}

function endAll(owner: LiveOwner, why: ErrorCode): void {
  for (const connection of owner.connections) connection.end(why)
}
