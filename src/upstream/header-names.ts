/**
 * Header names as a security decision sees them. CGI, WSGI, PHP and their kind turn `-`, `_`, `.` and other
 * signs into one, so `X_User.ID` reaches an upstream as X-User-ID (CVE-2025-64484, GHSA-rf44-j88r-hh8c):
 * every rule here works on the normalised name.
 */

/** Lower case, every sign that is neither letter nor digit a dash. */
export function normalised(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '-')
}

/** How the gateway speaks to upstreams. Nobody else may use these names, in either direction. */
const RESERVED = ['x-user-', 'x-session-', 'x-organization-', 'x-gateway-', 'x-internal-']

export function isReserved(normalisedName: string): boolean {
  return RESERVED.some(prefix => normalisedName.startsWith(prefix))
}

/** Fields that mean one connection only: RFC 9110 section 7.6.1, and what older agents still send. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings'
])

/** Framing, credentials and their meaning: naming these in Connection is an attack or a mistake. */
const END_TO_END = new Set(['content-length', 'content-type', 'content-encoding', 'cookie', 'authorization'])

/** The lower-case names a Connection header asks to remove; null for the everyday `keep-alive` and `close`. */
export function listedInConnection(value: string): Set<string> | null {
  const lower = value.toLowerCase()
  if (lower === 'keep-alive' || lower === 'close') return null
  return new Set(
    lower
      .split(',')
      .map(option => option.trim())
      .filter(option => option !== '' && !END_TO_END.has(option))
  )
}

/** Takes the named headers out of a flat list of names and values, in place. */
export function removeNamed(flat: string[], names: ReadonlySet<string>): void {
  let kept = 0
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i] as string
    if (names.has(name.toLowerCase())) continue
    flat[kept++] = name
    flat[kept++] = flat[i + 1] as string
  }
  flat.length = kept
}

/** A client may invent names without end; starting over costs less than keeping an order of use. */
const REMEMBERED_NAMES = 2000
const LONGEST_REMEMBERED = 100

/**
 * Remembers the decision for each spelling of a name as it came over the wire, so that a header costs one
 * map look-up instead of a normalisation and a dozen comparisons.
 */
export function remembered<Verdict>(decide: (name: string) => Verdict): (name: string) => Verdict {
  const verdicts = new Map<string, Verdict>()
  return function verdictOn(name) {
    const known = verdicts.get(name)
    if (known !== undefined) return known
    const verdict = decide(name)
    if (verdicts.size >= REMEMBERED_NAMES) verdicts.clear()
    if (name.length <= LONGEST_REMEMBERED) verdicts.set(name, verdict)
    return verdict
  }
}
