/**
 * Where a session was started, as far as it is worth comparing: the family of the browser and the network. Both are
 * kept short in every copy of the session; the user agent and the address themselves are not.
 *
 * Versions, devices and operating systems say nothing: browsers update themselves, and "request desktop site" changes
 * the rest. An address alone says nothing either: people move between Wi-Fi, mobile networks and tunnels all day.
 */
import { isIPv4, isIPv6 } from 'node:net'

/** `chrome 203.0.113`; null where the session's row lacks either, as for sessions that no browser began. */
export type Fingerprint = string

export interface Change {
  readonly browserWas: string
  readonly browserIs: string
  /** Another /24, or /48 of IPv6. From one kind of address to the other counts as well. */
  readonly networkChanged: boolean
}

/** The first that is found counts: everybody says Mozilla, many say Chrome, and nearly all of those Safari. */
const FAMILIES: readonly (readonly [RegExp, string])[] = [
  [/\bElectron\//, 'electron'],
  [/\bEdg(e|A|iOS)?\//, 'edge'],
  [/\b(OPR|OPT|OPiOS|Opera)\b/, 'opera'],
  [/\bSamsungBrowser\//, 'samsung'],
  [/\bVivaldi\//, 'vivaldi'],
  [/\bYaBrowser\//, 'yandex'],
  [/\b(Firefox|FxiOS)\//, 'firefox'],
  [/\bHeadlessChrome\//, 'headless-chrome'],
  [/\b(Chrome|Chromium|CriOS)\//, 'chrome'],
  [/\bVersion\/[\d.]+.*\bSafari\//, 'safari'],
  [/\bAppleWebKit\//, 'webkit'],
  [/\b(Trident\/|MSIE )/, 'ie']
]
const LONGEST_AGENT = 512

export function fingerprintOf(userAgent: string | null, address: string | null): Fingerprint | null {
  if (!userAgent || !address) return null
  const network = networkOf(address)
  return network === null ? null : `${familyOf(userAgent)} ${network}`
}

/** Null: the same browser, on whatever network. */
export function changeSince(began: Fingerprint, userAgent: string, address: string): Change | null {
  const [browserWas = '', network] = began.split(' ')
  const browserIs = familyOf(userAgent)
  if (browserIs === browserWas) return null
  return { browserWas, browserIs, networkChanged: networkOf(address) !== network }
}

/**
 * At most 32 of a-z, 0-9, '.', '_' and '-': `chrome`, `curl`, `python-requests`; `none` for a request that says
 * nothing.
 */
export function familyOf(userAgent: string): string {
  const text = userAgent.slice(0, LONGEST_AGENT)
  const known = FAMILIES.find(([pattern]) => pattern.test(text))
  if (known !== undefined) return known[1]
  // A program's own name comes first (RFC 9110 section 10.1.5): `curl/8.5.0`.
  const [name] = /^[\w.-]{1,32}/.exec(text) ?? []
  return name?.toLowerCase() ?? (text === '' ? 'none' : 'other')
}

/** Null for what is no address; PostgreSQL writes an inet as `203.0.113.7/32`. */
function networkOf(text: string): string | null {
  const address = text.replace(/\/\d+$/, '').replace(/^::ffff:(?=[\d.]+$)/i, '')
  if (isIPv4(address)) return address.slice(0, address.lastIndexOf('.'))
  if (!isIPv6(address)) return null
  const [head = '', tail = ''] = address.split('::', 2)
  const before = head === '' ? [] : head.split(':')
  const after = tail === '' ? [] : tail.split(':')
  const zeros = address.includes('::') ? Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0') : []
  const groups = [...before, ...zeros, ...after].slice(0, 3)
  return groups.map(group => Number.parseInt(group, 16).toString(16)).join(':')
}
