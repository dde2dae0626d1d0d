/**
 * What does this request offer as proof? Better Auth's signed session cookie, or `Authorization: Bearer` with the
 * same `token.signature`. Synchronous and without I/O: a forged one costs an HMAC and nothing else.
 *
 * Agrees with Better Auth 1.7.7 on which cookie counts (one exact name, the first of duplicates) and is stricter
 * on how it is written: only the base64 that was issued, so that one session has one signature.
 * A cookie wins over a bearer token, also a bad one over a good one.
 */
import { createHmac } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { AuthSecret } from '../config/env.js'
import { findCookie } from './find-cookie.js'
import type { LocalEntry } from './local-cache.js'
import { MAX_SIGNED_LENGTH, TOKEN, verifyingKeys, verifySigned } from './signed-value.js'

export type CredentialSource = 'cookie' | 'bearer'

export type Credential =
  | { readonly kind: 'none' }
  | { readonly kind: 'forged'; readonly source: CredentialSource }
  | {
      readonly kind: 'token'
      readonly source: CredentialSource
      /** The bare session token: signature checked and cut off. */
      readonly token: string
      /**
       * Which secret signed it, by position; 0 is the one Better Auth knows. Null: unsigned, as `bearerUnsigned`
       * allows.
       */
      readonly secretIndex: number | null
      /** Where this process's memory has its session. */
      entry: LocalEntry | null
    }

/** An IncomingMessage has both. `rawHeaders` is needed because Node keeps only the first of two Authorization lines. */
export interface CredentialCarrier {
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
}

export type CredentialReader = (carrier: CredentialCarrier) => Credential

export interface CredentialOptions {
  /** From Better Auth's own options, with `__Secure-` where they say so. */
  readonly cookieName: string
  readonly secrets: readonly AuthSecret[]
  /** Also take a bearer token without a signature (R38). */
  readonly bearerUnsigned: boolean
}

const NONE: Credential = { kind: 'none' }
const FORGED_COOKIE: Credential = { kind: 'forged', source: 'cookie' }
const FORGED_BEARER: Credential = { kind: 'forged', source: 'bearer' }

const BEARER = 'bearer '
/** Of each kind: some 5 MB when full, of headers 20 with the longest. */
const REMEMBERED = 10_000
const LONGEST_REMEMBERED = 2048

export function createCredentialReader(options: CredentialOptions): CredentialReader {
  const { cookieName, bearerUnsigned } = options
  const keys = verifyingKeys(options.secrets)
  // Holds only what was verified: an HMAC per request would be a twentieth of its cost. By the whole Cookie header as
  // well, as most come again to the byte, while in some another cookie changes each time.
  const known: Record<CredentialSource | 'header', Map<string, Credential>> = {
    header: new Map(),
    cookie: new Map(),
    bearer: new Map()
  }

  function verify(written: string, source: CredentialSource): Credential | null {
    const before = known[source].get(written)
    if (before !== undefined) return before
    const signed = verifySigned(written, keys)
    if (signed === null) return null
    const credential: Credential = { kind: 'token', source, token: signed.value, secretIndex: signed.keyIndex, entry: null }
    // A copy: what was cut out of a header would keep all of it in memory.
    remember(known[source], Buffer.from(written, 'latin1').toString('latin1'), credential)
    return credential
  }

  function readCookie(header: string): Credential {
    const before = known.header.get(header)
    if (before !== undefined) return before
    const written = findCookie(header, cookieName)
    if (written === '') return NONE
    const credential = written === null ? null : verify(written, 'cookie')
    if (credential === null) return FORGED_COOKIE
    if (header.length <= LONGEST_REMEMBERED) remember(known.header, header, credential)
    return credential
  }

  return function readCredential({ headers, rawHeaders }) {
    const credential = headers.cookie === undefined ? NONE : readCookie(headers.cookie)
    if (credential !== NONE || headers.authorization === undefined) return credential
    return readBearer(headers.authorization, rawHeaders, written => verify(written, 'bearer'), bearerUnsigned)
  }
}

/** When it is full it starts over: 10,000 HMACs once in a while are less than an order of use kept every time. */
function remember(known: Map<string, Credential>, written: string, credential: Credential): void {
  if (known.size >= REMEMBERED) known.clear()
  known.set(written, credential)
}

/** `token.signature` as Better Auth writes it; percent-encode it where it becomes a cookie. */
export function signToken(token: string, secret: string): string {
  return `${token}.${createHmac('sha256', secret).update(token, 'utf8').digest('base64')}`
}

function readBearer(
  header: string,
  rawHeaders: readonly string[],
  verifyBearer: (written: string) => Credential | null,
  unsigned: boolean
): Credential {
  if (header.slice(0, BEARER.length).toLowerCase() !== BEARER) return NONE
  const written = header.slice(BEARER.length)
  if (written === '') return NONE
  if (isRepeated('authorization', rawHeaders)) return FORGED_BEARER
  const verified = verifyBearer(written)
  if (verified !== null) return verified
  if (!unsigned || written.includes('.') || written.length > MAX_SIGNED_LENGTH || !TOKEN.test(written))
    return FORGED_BEARER
  return { kind: 'token', source: 'bearer', token: written, secretIndex: null, entry: null }
}

function isRepeated(name: string, rawHeaders: readonly string[]): boolean {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const candidate = rawHeaders[i] as string
    if (candidate.length === name.length && candidate.toLowerCase() === name) count++
  }
  return count > 1
}
