/**
 * The keys of the jwt plugin (table `jwks`, private halves encrypted with the secret), for the key ring that
 * signs X-Gateway-Assertion. `/api/auth/token` signs with the same ones.
 */
import { createPrivateKey, type JsonWebKey } from 'node:crypto'
import { symmetricDecrypt } from 'better-auth/crypto'
import { createJwk } from 'better-auth/plugins'
import type { FastifyBaseLogger } from 'fastify'
import type { SigningKey } from '../identity/key-ring.js'
import { JWT_OPTIONS } from './auth-plugins.js'
import type { Auth } from './better-auth.js'

interface KeyRow {
  readonly id: string
  readonly privateKey: string
  readonly createdAt: Date
  readonly expiresAt?: Date | null
  readonly alg?: string | null
}

/** Better Auth publishes a key for so long after its end. */
const GRACE_MS = 30 * 24 * 60 * 60 * 1000

/**
 * Makes a key when there is none to sign with: none at all, all past their end, or, after the secret was replaced,
 * none that can still be decrypted. Rejects when the table cannot be read or written.
 */
export async function loadSigningKeys({ context }: Auth, log: FastifyBaseLogger): Promise<readonly SigningKey[]> {
  const keys = await readKeys(context, log)
  if (keys.some(isLive)) return keys
  await createJwk({ context } as Parameters<typeof createJwk>[0], JWT_OPTIONS)
  return readKeys(context, log)
}

async function readKeys(context: Auth['context'], log: FastifyBaseLogger): Promise<readonly SigningKey[]> {
  const keys: SigningKey[] = []
  for (const row of await readRows(context)) {
    const key = await decrypt(context, row).catch(() => null)
    if (key === null) log.warn({ event: 'jwks.unreadable_key', kid: row.id })
    else keys.push(key)
  }
  return keys
}

async function readRows({ adapter }: Auth['context']): Promise<readonly KeyRow[]> {
  const rows = await adapter.findMany<KeyRow>({ model: 'jwks' })
  // Rows from before the column existed carry the plugin's default algorithm.
  return rows.filter(({ alg, expiresAt }) => {
    return (alg ?? 'EdDSA') === 'EdDSA' && (!expiresAt || expiresAt.getTime() + GRACE_MS > Date.now())
  })
}

function isLive({ expiresAt }: SigningKey): boolean {
  return expiresAt === null || expiresAt > Date.now()
}

async function decrypt({ secretConfig }: Auth['context'], row: KeyRow): Promise<SigningKey> {
  const data = JSON.parse(row.privateKey) as string
  const jwk = JSON.parse(await symmetricDecrypt({ key: secretConfig, data })) as JsonWebKey
  return {
    kid: row.id,
    privateKey: createPrivateKey({ key: jwk, format: 'jwk' }),
    createdAt: row.createdAt.getTime(),
    expiresAt: row.expiresAt?.getTime() ?? null
  }
}
