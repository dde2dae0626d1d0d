/** Whom a sign-in attempt is about. */
import { createHmac } from 'node:crypto'

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
