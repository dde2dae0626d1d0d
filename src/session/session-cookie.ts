/**
 * Better Auth's cookies as Better Auth writes them: names and attributes come from its own options, the value is
 * `value.signature` under the newest secret, percent-encoded. A cookie that differed in Domain or Path from the one it
 * is to replace would be a second one of the same name.
 */
import { signToken } from './credential.js'

/** As in `context.authCookies`, which leads to `context.createAuthCookie`. */
export interface CookieShape {
  readonly name: string
  readonly attributes: {
    readonly domain?: string | undefined
    readonly path?: string | undefined
    readonly httpOnly?: boolean | undefined
    readonly secure?: boolean | undefined
    readonly sameSite?: string | undefined
    readonly partitioned?: boolean | undefined
  }
}

export interface AuthCookies {
  readonly sessionToken: CookieShape
  /** Holds "true" where the browser should forget the session when it closes. */
  readonly dontRemember: CookieShape
  /** The administrator's own session while somebody else is impersonated. */
  readonly adminSession: CookieShape
}

/** A Set-Cookie line. `maxAgeSeconds` null: until the browser closes. */
export function setCookie(
  { name, attributes }: CookieShape,
  value: string,
  secret: string,
  maxAgeSeconds: number | null
): string {
  const { domain, path, httpOnly, secure, sameSite, partitioned } = attributes
  let line = `${name}=${encodeURIComponent(signToken(value, secret))}`
  if (maxAgeSeconds !== null) line += `; Max-Age=${Math.max(0, Math.floor(maxAgeSeconds))}`
  if (domain) line += `; Domain=${domain}`
  if (path) line += `; Path=${path}`
  if (httpOnly) line += '; HttpOnly'
  if (secure) line += '; Secure'
  if (sameSite) line += `; SameSite=${sameSite.charAt(0).toUpperCase()}${sameSite.slice(1)}`
  if (partitioned) line += '; Partitioned'
  return line
}
