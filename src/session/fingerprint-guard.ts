/**
 * Does the browser that uses a session still look like the one that began it (R41)? Another family of browser is
 * worth a line in the log. Together with another network it looks like a stolen cookie, and in mode `revoke` ends
 * the session for everybody. A defence in depth: whoever steals a cookie can copy the user agent as well.
 */
import { LRUCache } from 'lru-cache'
import { changeSince } from './fingerprint.js'
import type { Session } from './session.js'

export interface FingerprintDecision {
  readonly sessionId: string
  readonly userId: string
  readonly browserWas: string
  readonly browserIs: string
  readonly networkChanged: boolean
  readonly action: 'logged' | 'revoked'
}

export interface FingerprintGuardOptions {
  readonly mode: 'log' | 'revoke'
  /** Deletes the session of this token, or of one it had; rejects when it cannot know. */
  readonly end: (token: string) => Promise<unknown>
  /** Once for a session, a browser and whether its network is another, not for every request. */
  readonly onDecision: (decision: FingerprintDecision) => void
}

interface Seen {
  readonly userAgent: string
  readonly address: string
  readonly isStranger: boolean
}

const REMEMBERED = 20_000

export class FingerprintGuard {
  readonly #options: FingerprintGuardOptions
  /** By session, who used it last: comparing two strings is all that a request of the same browser costs. */
  readonly #seen = new LRUCache<string, Seen>({ max: REMEMBERED })
  /** By session and what was told of it: owner and thief may come by turns. */
  readonly #told = new LRUCache<string, true>({ max: REMEMBERED })
  /** By session. */
  readonly #ended = new LRUCache<string, Promise<void>>({ max: REMEMBERED })

  constructor(options: FingerprintGuardOptions) {
    this.#options = options
  }

  /** True, in mode `revoke` only: `end` the session, and refuse. `userAgent`: '' when the request has none. */
  isStranger(session: Session, userAgent: string, address: string): boolean {
    if (session.fingerprint === null) return false
    const seen = this.#seen.get(session.id)
    if (seen !== undefined && seen.userAgent === userAgent && seen.address === address) return seen.isStranger
    const change = changeSince(session.fingerprint, userAgent, address)
    const isStranger = change !== null && change.networkChanged && this.#options.mode === 'revoke'
    this.#seen.set(session.id, { userAgent, address, isStranger })
    if (change !== null && !isStranger) this.#tell(session, userAgent, address, 'logged')
    return isStranger
  }

  /** Once for a session, however many ask. Rejects with AUTH_SERVICE_UNAVAILABLE when it may still be there. */
  end(session: Session, token: string, userAgent: string, address: string): Promise<void> {
    const ended = this.#ended.get(session.id)
    if (ended !== undefined) return ended
    const ending = this.#options.end(token).then(
      () => this.#tell(session, userAgent, address, 'revoked'),
      (outage: unknown) => {
        this.#ended.delete(session.id)
        throw outage
      }
    )
    this.#ended.set(session.id, ending)
    return ending
  }

  #tell({ id, userId, fingerprint }: Session, userAgent: string, address: string, action: 'logged' | 'revoked'): void {
    const change = fingerprint === null ? null : changeSince(fingerprint, userAgent, address)
    if (change === null) return
    const what = `${id} ${change.browserIs} ${change.networkChanged} ${action}`
    if (this.#told.has(what)) return
    this.#told.set(what, true)
    this.#options.onDecision({ sessionId: id, userId, ...change, action })
  }
}
