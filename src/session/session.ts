/**
 * A live session joined with its user, and the words around it.
 * The raw token never appears in here: what leaves the process, or is logged, is its `TokenHash`.
 */
import { hash } from 'node:crypto'
import type { Fingerprint } from './fingerprint.js'

/** SHA-256 of a session token, hex. The only form of a token that leaves the process or enters a log. */
export type TokenHash = string & { readonly __brand: 'TokenHash' }

export interface Session {
  /** The row's public id, not the token. */
  readonly id: string
  readonly userId: string
  readonly email: string
  readonly emailVerified: boolean
  /** Better Auth keeps a comma list in `role`; here it is split, trimmed, without empties. */
  readonly roles: readonly string[]
  /** The active organisation, and the caller's role in it as the member row says now. */
  readonly organizationId: string | null
  readonly organizationRole: string | null
  /** An administrator acts as this user: such a session is never extended. */
  readonly impersonated: boolean
  /** Which kind of browser began it, and on which network; null where the row does not say. */
  readonly fingerprint: Fingerprint | null
  /** Epoch milliseconds by the database's clock. */
  readonly createdAt: number
  readonly expiresAt: number
}

/** Where an answer came from; a log field and a metric label. */
export type LookupSource = 'local' | 'redis' | 'postgres'

/** Another token for a session: it is to get one, or has got this one, and the token asked for is its old one. */
export type Rotation = 'due' | { readonly token: string }

/** `reason` is for the log: clients get one answer for all of them. */
export type Lookup =
  | {
      readonly session: Session
      readonly source: LookupSource
      readonly reason: null
      readonly rotation?: Rotation | null
    }
  | { readonly session: null; readonly source: LookupSource; readonly reason: 'not_live' | 'banned' }

export function hashToken(token: string): TokenHash {
  return hash('sha256', token, 'hex') as TokenHash
}
