/** What a sign-in attempt is counted under: where it comes from, and whom it is about. */
import { createHmac } from 'node:crypto'
import { isIPv6 } from 'node:net'

/** IPv6 by its /64, which is what one customer of a provider has; IPv4 as it is. */
export function addressKey(address: string): string {
  return isIPv6(address) ? `${network64(address)}::/64` : address
}

function network64(address: string): string {
  const [head = '', tail] = address.toLowerCase().split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  // An IPv4 tail (`::1.2.3.4`) stands for two groups; it never reaches into the first four.
  const groups = after.length + (tail?.includes('.') ? 1 : 0)
  const zeros = tail === undefined ? 0 : 8 - before.length - groups
  const all = [...before, ...Array<string>(Math.max(0, zeros)).fill('0'), ...after]
  return all
    .slice(0, 4)
    .map(group => Number.parseInt(group, 16).toString(16))
    .join(':')
}

const NAMES = ['email', 'username'] as const

/**
 * The account a body is about, as a keyed hash: the counter's store must not become a list of addresses.
 * All spellings a mail system may take for one address are one account. Null: the body names nobody.
 */
export function accountKey(body: unknown, secret: string): string | null {
  const name = nameIn(body)
  if (name === null) return null
  const account = name
    .normalize('NFKC')
    .replace(/[\u3002\uff61]/g, '.')
    .trim()
    .toLowerCase()
  return createHmac('sha256', secret).update(`login-limit:${account}`).digest('base64url')
}

function nameIn(body: unknown): string | null {
  if (typeof body !== 'object' || body === null) return null
  for (const key of NAMES) {
    const value = (body as Record<string, unknown>)[key]
    if (typeof value === 'string' && value.trim() !== '') return value
  }
  return null
}
