/**
 * Better Auth verifies by the newest secret alone: after a rotation it would take every cookie and every mailed link
 * for forged. Here what an older secret signed is signed anew before Better Auth sees it. What a retired secret
 * signed is left as it is, and refused.
 *
 * Out of reach is what is signed inside a signed value: a device that two-factor trusts is asked once more.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { AuthSecret } from '../config/env.js'
import { signToken } from '../session/credential.js'
import { verifyingKeys, verifySigned } from '../session/signed-value.js'

export interface OlderSignatures {
  /** A Cookie header with Better Auth's cookies under the newest secret. */
  readonly cookies: (header: string) => string
  /** A query whose `token` is a JWT of ours, as in the links of verification mails. */
  readonly link: (search: string) => string
}

const UNCHANGED: OlderSignatures = { cookies: header => header, link: search => search }

/** `prefix`: what the names of Better Auth's cookies begin with, `__Secure-better-auth.` */
export function olderSignatures(secrets: readonly AuthSecret[], prefix: string): OlderSignatures {
  const [newest] = secrets
  const keys = verifyingKeys(secrets)
  if (newest === undefined || keys.length < 2) return UNCHANGED

  const cookie = (pair: string): string => {
    const equals = pair.indexOf('=')
    const name = pair.slice(0, equals).trim()
    if (equals < 0 || !name.startsWith(prefix)) return pair
    const signed = verifySigned(pair.slice(equals + 1).trim(), keys)
    if (signed === null || signed.keyIndex === 0) return pair
    return `${name}=${encodeURIComponent(signToken(signed.value, newest.value))}`
  }
  const older = secrets.filter(({ retired }) => !retired).slice(1)

  return {
    cookies: header =>
      header
        .split(';')
        .map(pair => cookie(pair.trim()))
        .join('; '),
    link(search) {
      const query = new URLSearchParams(search)
      const token = query.get('token') ?? ''
      const dot = token.lastIndexOf('.')
      const [body, signature] = [token.slice(0, dot), token.slice(dot + 1)]
      if (dot < 0 || !older.some(({ value }) => isEqual(hmac(body, value), signature))) return search
      query.set('token', `${body}.${hmac(body, newest.value)}`)
      return `?${query}`
    }
  }
}

/** The signature of a JWT with HS256 (RFC 7515). Whose header says otherwise, Better Auth refuses. */
function hmac(body: string, secret: string): string {
  return createHmac('sha256', secret).update(body).digest('base64url')
}

function isEqual(one: string, other: string): boolean {
  return one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other, 'latin1'))
}
