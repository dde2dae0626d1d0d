/** `value.signature` as Better Auth signs cookies and bearer tokens: HMAC-SHA256 under any of several secrets. */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { AuthSecret } from '../config/env.js'

export interface SignedValue {
  readonly value: string
  /** Which key signed it; 0 is the newest. */
  readonly keyIndex: number
}

/** Encoded, a token of 32 and its signature take 85. What is longer is refused before anything is computed. */
export const MAX_SIGNED_LENGTH = 512
/** Nothing that PostgreSQL, a log or a header could choke on. */
export const TOKEN = /^[\x21-\x7e]+$/
/** 32 bytes in base64, in the one way an encoder writes them: the last digit carries 4 bits, its other two are zero. */
const SIGNATURE = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/
const SIGNATURE_LENGTH = 44

/** Newest first, as the secrets are. A retired secret has none: what it signed is worth nothing. */
export function verifyingKeys(secrets: readonly AuthSecret[]): readonly KeyObject[] {
  return secrets.filter(({ retired }) => !retired).map(({ value }) => createSecretKey(value, 'utf8'))
}

/** Null: not signed by any of them, or not written as it was issued. */
export function verifySigned(written: string, keys: readonly KeyObject[]): SignedValue | null {
  if (written.length > MAX_SIGNED_LENGTH) return null
  const whole = decodeOnce(written)
  if (whole === null) return null
  const dot = whole.length - SIGNATURE_LENGTH - 1
  if (dot < 1 || whole.charCodeAt(dot) !== 46) return null
  const signature = whole.slice(dot + 1)
  const value = whole.slice(0, dot)
  if (!SIGNATURE.test(signature) || !TOKEN.test(value)) return null

  const offered = Buffer.from(signature, 'base64')
  let keyIndex = -1
  // Every key is tried, so that the time tells nothing about which one it was.
  for (let i = keys.length - 1; i >= 0; i--) {
    const expected = createHmac('sha256', keys[i] as KeyObject)
      .update(value, 'utf8')
      .digest()
    if (timingSafeEqual(expected, offered)) keyIndex = i
  }
  return keyIndex < 0 ? null : { value, keyIndex }
}

/** R36. Decoded once: what is encoded twice keeps a '%' and fails as a signature (ASVS 1.1.1). */
function decodeOnce(written: string): string | null {
  if (!written.includes('%')) return written
  try {
    return decodeURIComponent(written)
  } catch {
    return null
  }
}
