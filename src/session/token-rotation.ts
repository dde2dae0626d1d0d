/**
 * A session changes its token when its user's role changes (R42): what was handed out, or planted, before the change
 * opens nothing afterwards. The session itself stays the same, its id, its end, everything but the token.
 *
 * The old token goes on for ten seconds, for the requests that were under way when the new one was made; every answer
 * to it brings the new one, so that a lost answer loses nobody. Nothing is cached meanwhile, neither for a session that
 * is due nor for an old token, so the end of the grace is the database's to tell.
 */
import { randomBytes } from 'node:crypto'
import type { RotationSql } from '../../schema/rotation-sql.js'
import type { GuardedSql } from '../data/guarded-sql.js'
import type { Lookup, Rotation } from './session.js'

/** 192 random bits, in the 32 characters that Better Auth's own tokens have. */
const TOKEN_BYTES = 24

export class TokenRotation {
  readonly #sql: GuardedSql
  readonly #statements: RotationSql
  readonly #onRotated: () => void

  constructor(sql: GuardedSql, statements: RotationSql, onRotated: () => void) {
    this.#sql = sql
    this.#statements = statements
    this.#onRotated = onRotated
  }

  /**
   * The token the client of this one is to have from now on; null: none other. Never rejects: a session that could
   * not be rotated stays due, and is no worse than it was a moment ago.
   */
  async tokenFor(token: string, rotation: Rotation): Promise<string | null> {
    if (rotation !== 'due') return rotation.token
    try {
      // Nothing to rotate: somebody else was faster.
      return (await this.#rotate(token)) ?? (await this.#ask(this.#statements.current, token))
    } catch {
      return null
    }
  }

  /** The token of the session that once had this one. Rejects with AUTH_SERVICE_UNAVAILABLE. */
  successorOf(token: string): Promise<string | null> {
    return this.#ask(this.#statements.successor, token)
  }

  /** As `lookUp`, also by an old token whose grace is over: what was opened with it goes on as long as the session. */
  async lookUpAny(token: string, lookUp: (token: string) => Promise<Lookup>): Promise<Lookup> {
    const lookup = await lookUp(token)
    if (lookup.session !== null) return lookup
    const successor = await this.successorOf(token)
    if (successor === null) return lookup
    const found = await lookUp(successor)
    if (found.session === null || (typeof found.rotation === 'object' && found.rotation !== null)) return found
    return { ...found, rotation: { token: successor } }
  }

  async #rotate(token: string): Promise<string | null> {
    const fresh = randomBytes(TOKEN_BYTES).toString('base64url')
    const { count } = await this.#sql.query(this.#statements.rotate, [token, fresh])
    if (count === 0) return null
    this.#onRotated()
    return fresh
  }

  async #ask(statement: string, token: string): Promise<string | null> {
    const [row] = await this.#sql.query<{ token: string }>(statement, [token])
    return row?.token ?? null
  }
}
