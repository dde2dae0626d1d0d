/** Where an upstream may be: an origin, and never the address cloud machines keep their credentials at. */
import { BlockList, isIPv4, isIPv6 } from 'node:net'

const FORBIDDEN = new BlockList()
FORBIDDEN.addSubnet('169.254.0.0', 16, 'ipv4')
FORBIDDEN.addSubnet('fe80::', 10, 'ipv6')
FORBIDDEN.addAddress('fd00:ec2::254', 'ipv6')

/** What is wrong with it, or null. The text itself is not repeated: it may come from a secret. */
export function targetProblem(text: string): string | null {
  if (!URL.canParse(text)) return 'must be an address such as http://orders:8000'
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'must be http or https'
  if (url.username !== '' || url.password !== '') return 'must not contain credentials; use internalKey'
  if (url.href !== `${url.origin}/` || /[?#]$/.test(text)) return 'must be an origin, without a path or query'
  return isLinkLocal(url.hostname) ? 'must not be a link-local or metadata address' : null
}

/** `hostname` of a URL: IPv4 in dotted form whatever it was written as, IPv6 in brackets. */
function isLinkLocal(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  return isForbiddenAddress(host) || host.replace(/\.$/, '') === 'metadata.google.internal'
}

/** Of an IP address; false for a name. */
export function isForbiddenAddress(address: string): boolean {
  if (isIPv4(address)) return FORBIDDEN.check(address, 'ipv4')
  return isIPv6(address) && FORBIDDEN.check(address, 'ipv6')
}
