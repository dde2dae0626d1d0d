/**
 * What an answer has to tell its client about its credential, beside the request's own business: a cookie that lives
 * longer because the session does, a signature under the newest secret instead of an older one, a new token.
 *
 * The UPDATE that extends a session is not waited for. Its cookie is right whether or not it succeeds: Max-Age only
 * says how long the browser keeps what the row decides on, and where the UPDATE failed the next request tries again.
 * So a database that is slow or away delays nobody whose session is known to be good.
 */
import { LRUCache } from 'lru-cache'
import type { AuthSecret } from '../config/env.js'
import type { GuardedSql } from '../data/guarded-sql.js'
import type { Clock } from '../clock.js'
import { type Credential, signToken } from './credential.js'
import { findCookie } from './find-cookie.js'
import { type Session, type TokenHash, hashToken } from './session.js'
import { type AuthCookies, type CookieShape, setCookie } from './session-cookie.js'
import { verifyingKeys, verifySigned } from './signed-value.js'
import { isDue, type SlidingExpiry, staysShort } from './sliding-expiry.js'

export interface SessionRenewalOptions {
  readonly expiry: SlidingExpiry
  /** Null: use extends nothing. */
  readonly extend: { readonly sql: GuardedSql; readonly text: string } | null
  readonly cookies: AuthCookies
  /** Newest first; the first one signs. */
  readonly secrets: readonly AuthSecret[]
  /** The database's. */
  readonly clock: Clock
  /** Copies of this session have become old: the next look-up reads its row. */
  readonly forget: (hash: TokenHash) => void
}

type Offered = Extract<Credential, { kind: 'token' }>

/** Flat, name and value by turns. */
export type AnswerHeaders = readonly string[]

export const NO_HEADERS: AnswerHeaders = []
/** Copies in other processes stay due for a while after one of them has extended the session. */
const ATTEMPT_COUNTS_MS = 30_000
const FAILURE_COUNTS_MS = 5_000
const REMEMBERED = 10_000

export class SessionRenewal {
  readonly #options: SessionRenewalOptions
  readonly #secret: string
  readonly #keys: ReturnType<typeof verifyingKeys>
  /** Sessions whose extension was tried here a moment ago, by token. */
  readonly #attempts = new LRUCache<string, true>({ max: REMEMBERED, ttl: ATTEMPT_COUNTS_MS })

  constructor(options: SessionRenewalOptions) {
    this.#options = options
    this.#secret = options.secrets[0]?.value ?? ''
    this.#keys = verifyingKeys(options.secrets)
  }

  /**
   * Once for a request whose session is live. `newToken`: the session has one since, and the client does not know.
   * Synchronous; nearly always there is nothing to say.
   */
  headersFor(
    session: Session,
    credential: Offered,
    cookieHeader: string | undefined,
    newToken: string | null
  ): AnswerHeaders {
    const { expiry, extend, clock } = this.#options
    const { source, secretIndex } = credential
    const isOld = newToken !== null || (secretIndex !== null && secretIndex > 0)
    const now = clock()
    const due = extend !== null && isDue(session, expiry, now)
    if (!due && !isOld) return NO_HEADERS

    const short = staysShort(session, expiry.expiresInMs) || this.#forgetsAtClose(cookieHeader)
    const token = newToken ?? credential.token
    if (due && !short) this.#extend(token)
    if (source === 'bearer') return isOld ? ['set-auth-token', signToken(token, this.#secret)] : NO_HEADERS
    if (short && !isOld) return NO_HEADERS

    const lifeMs = due ? expiry.expiresInMs : session.expiresAt - now
    const headers = [this.#line(this.#options.cookies.sessionToken, token, short ? null : lifeMs)]
    if (secretIndex !== null && secretIndex > 0) headers.push(...this.#companions(cookieHeader))
    return headers.flatMap(line => ['set-cookie', line])
  }

  /** Of any number of requests on any number of nodes one finds the row as it was; the others change nothing. */
  #extend(token: string): void {
    const { extend, forget } = this.#options
    if (extend === null || this.#attempts.has(token)) return
    this.#attempts.set(token, true)
    extend.sql.query(extend.text, [token]).then(
      () => forget(hashToken(token)),
      () => this.#attempts.set(token, true, { ttl: FAILURE_COUNTS_MS })
    )
  }

  /** Better Auth's own mark, which counts there as well. */
  #forgetsAtClose(cookieHeader: string | undefined): boolean {
    return this.#read(this.#options.cookies.dontRemember, cookieHeader) !== null
  }

  /** What else the older secret signed and would be lost together with it. */
  #companions(cookieHeader: string | undefined): string[] {
    const { dontRemember, adminSession } = this.#options.cookies
    const mark = this.#read(dontRemember, cookieHeader)
    const admin = this.#read(adminSession, cookieHeader)
    return [
      ...(mark === null ? [] : [this.#line(dontRemember, mark, null)]),
      ...(admin === null ? [] : [this.#line(adminSession, admin, this.#options.expiry.expiresInMs)])
    ]
  }

  #read({ name }: CookieShape, cookieHeader: string | undefined): string | null {
    if (cookieHeader === undefined) return null
    return verifySigned(findCookie(cookieHeader, name) ?? '', this.#keys)?.value ?? null
  }

  #line(shape: CookieShape, value: string, lifeMs: number | null): string {
    return setCookie(shape, value, this.#secret, lifeMs === null ? null : Math.ceil(lifeMs / 1000))
  }
}
