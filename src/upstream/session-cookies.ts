/**
 * Which cookies are Better Auth's session cookies. Upstreams neither learn them (a leaked token is a login)
 * nor set them (session fixation, GHSA-f24x-5g9q-753f).
 */
const TOKEN_SUFFIX = '.session_token'
/** Better Auth's own prefix; the satellites keep it when only the token cookie was renamed. */
const DEFAULT_PREFIX = 'better-auth'
/** What follows the prefix; large values are split into `.0`, `.1`, …, multi-session adds one cookie per account. */
const SATELLITES =
  /^\.(?:session_token(?:_multi-.*)?|session_data(?:\.\d+)?|account_data(?:\.\d+)?|dont_remember|admin_session)$/
/** RFC 6265bis prefixes; user agents compare them without case. */
const NAME_PREFIX = /^__(?:secure|host-http|host|http)-/

export class SessionCookies {
  readonly #token: string
  readonly #prefix: string

  /** `tokenCookie`: the name Better Auth's options lead to, with or without `__Secure-`. */
  constructor(tokenCookie: string) {
    this.#token = bareName(tokenCookie)
    this.#prefix = this.#token.endsWith(TOKEN_SUFFIX) ? this.#token.slice(0, -TOKEN_SUFFIX.length) : DEFAULT_PREFIX
  }

  /** A Cookie header without them; empty when nothing is left, the very same string when none was there. */
  withoutOurs(header: string): string {
    let kept = ''
    let cut = false
    let start = 0
    while (start <= header.length) {
      const semicolon = header.indexOf(';', start)
      const end = semicolon < 0 ? header.length : semicolon
      const pair = header.slice(start, end).trim()
      if (this.#isOurs(nameOf(pair))) cut = true
      else if (pair !== '') kept = kept === '' ? pair : `${kept}; ${pair}`
      start = end + 1
    }
    return cut ? kept : header
  }

  /** Does this Set-Cookie line set one of them? */
  isSetBy(setCookie: string): boolean {
    // A nameless `=name=value` is stored under no name and sent back as `name=value`.
    const [pair = ''] = setCookie.split(';', 1)
    return this.#isOurs(nameOf(pair.replace(/^[=\s]+/, '')))
  }

  #isOurs(written: string): boolean {
    const name = bareName(written)
    if (name === this.#token || name.startsWith(`${this.#token}_multi-`)) return true
    return name.startsWith(this.#prefix) && SATELLITES.test(name.slice(this.#prefix.length))
  }
}

function nameOf(pair: string): string {
  const equals = pair.indexOf('=')
  return (equals < 0 ? pair : pair.slice(0, equals)).trimEnd()
}

function bareName(name: string): string {
  return name.toLowerCase().replace(NAME_PREFIX, '')
}
