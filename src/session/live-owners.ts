/**
 * Sessions that something is open under, by the hash of their token and by their user: the two ways an event names
 * them.
 */
import type { LiveConnection } from './live-connections.js'
import { hashToken, type Session, type TokenHash } from './session.js'

export interface LiveOwner {
  token: string
  hash: TokenHash
  session: Session
  readonly connections: Set<LiveConnection>
  asking: boolean
  /** Something changed while the answer was on its way. */
  doubted: boolean
  /** By performance.now(); Infinity: nothing is in doubt. */
  askAt: number
}

const NOBODY: ReadonlySet<LiveOwner> = new Set()

export class LiveOwners {
  readonly #byHash = new Map<TokenHash, LiveOwner>()
  readonly #byUser = new Map<string, Set<LiveOwner>>()

  get size(): number {
    return this.#byHash.size
  }

  all(): Iterable<LiveOwner> {
    return this.#byHash.values()
  }

  ofHash(hash: TokenHash): LiveOwner | undefined {
    return this.#byHash.get(hash)
  }

  ofUser(userId: string): Iterable<LiveOwner> {
    return this.#byUser.get(userId) ?? NOBODY
  }

  /** The one there is, or a new one. */
  of(token: string, session: Session): LiveOwner {
    const hash = hashToken(token)
    const known = this.#byHash.get(hash)
    if (known !== undefined) return known
    const certain = { asking: false, doubted: false, askAt: Number.POSITIVE_INFINITY }
    const owner: LiveOwner = { token, hash, session, connections: new Set(), ...certain }
    this.#byHash.set(hash, owner)
    const ofUser = this.#byUser.get(session.userId)
    if (ofUser === undefined) this.#byUser.set(session.userId, new Set([owner]))
    else ofUser.add(owner)
    return owner
  }

  forget(owner: LiveOwner): void {
    if (this.#byHash.get(owner.hash) === owner) this.#byHash.delete(owner.hash)
    const ofUser = this.#byUser.get(owner.session.userId)
    ofUser?.delete(owner)
    if (ofUser?.size === 0) this.#byUser.delete(owner.session.userId)
  }

  /** Its session has another token by now; returns whom connections were opened under with that one, if anybody. */
  rename(owner: LiveOwner, token: string): LiveOwner | undefined {
    if (this.#byHash.get(owner.hash) === owner) this.#byHash.delete(owner.hash)
    owner.token = token
    owner.hash = hashToken(token)
    const other = this.#byHash.get(owner.hash)
    this.#byHash.set(owner.hash, owner)
    if (other === undefined) return undefined
    this.#byUser.get(other.session.userId)?.delete(other)
    return other
  }
}
