/**
 * X-Gateway-Assertion: a short JWT that proves to one upstream who the caller is, without a shared secret
 * (OWASP ASVS 13.2.1). Signing costs as much as everything else on the hot path together, so an assertion is
 * used again for the same facts and the same audience until three quarters of its life are over.
 */
import { randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.js'
import { GatewayError } from '../errors.js'
import type { Session } from '../session/session.js'
import type { KeyRing } from './key-ring.js'

const LIFETIME_S = 60
/** What is left of its life when it is used last: a queue, a slow upstream and a skewed clock fit in. */
const LEFT_AT_LAST_USE_S = 15
const REMEMBERED = 10_000

interface Assertion {
  readonly token: string
  /** Epoch seconds. */
  readonly useUntil: number
}

export class AssertionIssuer {
  readonly #issuer: string
  readonly #keys: KeyRing
  readonly #clock: Clock
  readonly #issued = new LRUCache<string, Assertion>({ max: REMEMBERED })

  /** `issuer`: the public base URL. */
  constructor(issuer: string, keys: KeyRing, clock: Clock) {
    this.#issuer = issuer
    this.#keys = keys
    this.#clock = clock
  }

  /** Throws AUTH_SERVICE_UNAVAILABLE when there is no key: nothing is sent without its assertion. */
  assertionFor(session: Session, audience: string): string {
    const now = Math.floor(this.#clock() / 1000)
    const facts = factsOf(session, audience)
    const known = this.#issued.get(facts)
    if (known !== undefined && known.useUntil > now) return known.token

    const expiresAt = Math.min(now + LIFETIME_S, Math.floor(session.expiresAt / 1000))
    const token = this.#keys.sign(this.#claims(session, audience, now, expiresAt))
    if (token === null) {
      throw new GatewayError('AUTH_SERVICE_UNAVAILABLE', { reason: 'no_signing_key', headers: { 'retry-after': '1' } })
    }
    this.#issued.set(facts, { token, useUntil: expiresAt - LEFT_AT_LAST_USE_S })
    return token
  }

  #claims(session: Session, audience: string, issuedAt: number, expiresAt: number) {
    return {
      iss: this.#issuer,
      aud: audience,
      sub: session.userId,
      sid: session.id,
      email: session.email,
      email_verified: session.emailVerified,
      roles: session.roles,
      ...(session.organizationId !== null && {
        org_id: session.organizationId,
        org_role: session.organizationRole
      }),
      iat: issuedAt,
      exp: expiresAt,
      jti: randomUUID()
    }
  }
}

/**
 * Everything the assertion says, in one string: the key holds all the answer depends on (CVE-2026-33496). PostgreSQL
 * stores no NUL in text, so it separates safely.
 */
function factsOf(session: Session, audience: string): string {
  const { id, userId, email, emailVerified, roles, organizationId, organizationRole, expiresAt } = session
  return [audience, id, userId, email, emailVerified, organizationId, organizationRole, expiresAt, ...roles].join('\0')
}
