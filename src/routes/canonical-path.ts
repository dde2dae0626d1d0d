/**
 * One spelling per path. What comes out of here is both judged and forwarded; a path that two servers
 * could read differently does not come out at all and is answered BAD_PATH. Refused, after RFC 3986:
 *
 *   characters outside the grammar, `#`, backslash       `//` and dot segments, in every encoding
 *   %2f %5c %3b and encoded control bytes                escapes that are no escapes or no UTF-8
 *   `;`, read as a parameter or as text (CVE-2026-73511) %25 in front of what would be refused decoded
 *
 * Idempotent: a canonical path is its own canonical path.
 */

export interface CanonicalTarget {
  readonly path: string
  /** The query as it came, with its '?'; empty when there is none. */
  readonly search: string
}

const MAX_PATH_LENGTH = 8192

const PLAIN = 1
const ESCAPE = 2
const SLASH = 3
const DOT = 4

/** RFC 3986 section 3.3: what may stand in a path, less `;`. Zero: refused. */
const PATH_CHARACTERS = new Uint8Array(128)
for (const character of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~!$&'()*+,=:@") {
  PATH_CHARACTERS[character.charCodeAt(0)] = PLAIN
}
PATH_CHARACTERS['%'.charCodeAt(0)] = ESCAPE
PATH_CHARACTERS['/'.charCodeAt(0)] = SLASH
PATH_CHARACTERS['.'.charCodeAt(0)] = DOT

const QUESTION_MARK = 63
const HASH = 35

/** Decoded, these would change where a segment ends or what it is; behind a %25 they do so one decoding later. */
const REFUSED_ESCAPE = /%(?:25)?(?:[01][0-9a-f]|7f|2f|5c|3b)|%25(?:2e|25)/i
const DOT_SEGMENT = /\/\.{1,2}(?:\/|$)/
const UNRESERVED = /[A-Za-z0-9._~-]/

/** Takes a request target in origin form. Null: BAD_PATH. */
export function canonicalPath(rawUrl: string): CanonicalTarget | null {
  if (rawUrl.charCodeAt(0) !== 47) return null
  const length = rawUrl.length
  let suspicious = false
  let previous = 0
  let end = 0
  for (; end < length; end++) {
    const code = rawUrl.charCodeAt(end)
    if (code === QUESTION_MARK) break
    const kind = code < 128 ? PATH_CHARACTERS[code] : 0
    if (kind === 0) return null
    if (kind === SLASH) {
      if (previous === SLASH) return null
    } else if (kind === ESCAPE || (kind === DOT && previous === SLASH)) {
      suspicious = true
    }
    previous = kind as number
  }
  if (end > MAX_PATH_LENGTH || !isQuery(rawUrl, end)) return null

  // Nearly every path ends here: the same string, or a view into it, and nothing was copied.
  const path = end === length ? rawUrl : rawUrl.slice(0, end)
  const search = end === length ? '' : rawUrl.slice(end)
  if (!suspicious) return { path, search }
  const canonical = unescapePath(path)
  return canonical === null ? null : { path: canonical, search }
}

/** Unreserved characters as themselves, all other escapes in upper case: RFC 3986 section 6.2.2. */
function unescapePath(path: string): string | null {
  if (!path.includes('%')) return DOT_SEGMENT.test(path) ? null : path
  if (!isUtf8(path)) return null
  const canonical = path.replace(/%[0-9a-f]{2}/gi, escape => {
    const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16))
    return UNRESERVED.test(character) ? character : escape.toUpperCase()
  })
  // Judged after decoding: %25%32%65 is %252e by then.
  return REFUSED_ESCAPE.test(canonical) || DOT_SEGMENT.test(canonical) ? null : canonical
}

/** Whether every `%` starts an escape and the escapes form UTF-8 in its shortest form. */
function isUtf8(path: string): boolean {
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}

/** The query is the upstream's business, except for what no request target may contain. */
function isQuery(rawUrl: string, start: number): boolean {
  for (let i = start; i < rawUrl.length; i++) {
    const code = rawUrl.charCodeAt(i)
    if (code <= 32 || code >= 127 || code === HASH) return false
  }
  return true
}
