/**
 * The keys `X-Gateway-Assertion` is signed with, and the public halves upstreams check it by. Keys live elsewhere
 * (a table every gateway shares); here they are held, chosen and renewed. A failed renewal keeps what is there:
 * the keys have not become wrong. Without any key nothing is signed, and the caller answers 503.
 */
import { createPublicKey, type KeyObject, sign } from 'node:crypto'
import type { Clock } from '../clock.js'

export interface SigningKey {
  readonly kid: string
  /** Ed25519. */
  readonly privateKey: KeyObject
  /** Epoch milliseconds. */
  readonly createdAt: number
  /** After this nothing is signed with it; null: no end. It stays published as long as it is loaded. */
  readonly expiresAt: number | null
}

/** All keys upstreams may still meet: current, coming and just retired. Rejects when the store cannot be read. */
export type KeyLoader = () => Promise<readonly SigningKey[]>

/** How long an upstream may keep the JWKS; also how long a new key is shown before it is used. */
export const JWKS_MAX_AGE_S = 300
const RENEW_MS = (JWKS_MAX_AGE_S * 1000) / 2
const RETRY_MS = 1000

export class KeyRing {
  readonly #load: KeyLoader
  readonly #clock: Clock
  #keys: readonly SigningKey[] = []
  #jwks = '{"keys":[]}'
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(load: KeyLoader, clock: Clock) {
    this.#load = load
    this.#clock = clock
  }

  /** Loads once and keeps renewing; never rejects. While nothing could be loaded it tries every second. */
  async start(): Promise<void> {
    try {
      this.#take(await this.#load())
    } catch {
      // `ready` tells: the health check and every signature ask.
    }
    if (this.#stopped) return
    this.#timer = setTimeout(() => void this.start(), this.ready ? RENEW_MS : RETRY_MS)
    this.#timer.unref()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  get ready(): boolean {
    return this.#current() !== null
  }

  /** The body of /.well-known/jwks.json; public keys only. */
  get jwks(): string {
    return this.#jwks
  }

  /** A JWS in compact form over this payload, or null when there is no key to sign with. Synchronous, some 45 µs. */
  sign(payload: object): string | null {
    const key = this.#current()
    if (key === null) return null
    const input = `${encode({ alg: 'EdDSA', typ: 'JWT', kid: key.kid })}.${encode(payload)}`
    return `${input}.${sign(null, Buffer.from(input), key.privateKey).toString('base64url')}`
  }

  /** The newest key that upstreams have had time to see; before that the oldest, which they may know. */
  #current(): SigningKey | null {
    const now = this.#clock()
    const usable = this.#keys.filter(({ expiresAt }) => expiresAt === null || expiresAt > now)
    return usable.find(({ createdAt }) => createdAt + JWKS_MAX_AGE_S * 1000 <= now) ?? usable.at(-1) ?? null
  }

  #take(keys: readonly SigningKey[]): void {
    for (const { kid, privateKey } of keys) {
      if (privateKey.asymmetricKeyType !== 'ed25519') throw new TypeError(`key ${kid} is not Ed25519`)
    }
    this.#keys = keys.toSorted((a, b) => b.createdAt - a.createdAt)
    this.#jwks = JSON.stringify({ keys: this.#keys.map(publicJwk) })
  }
}

function publicJwk({ kid, privateKey }: SigningKey) {
  const { crv, x, kty } = createPublicKey(privateKey).export({ format: 'jwk' })
  return { kty, crv, x, kid, alg: 'EdDSA', use: 'sig' }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
