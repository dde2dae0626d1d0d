/**
 * The keys of the jwt plugin (table `jwks`, private halves encrypted with the secret), for the key ring that
 * signs X-Gateway-Assertion. `/api/auth/token` signs with the same ones.
 */
import { createPrivateKey, type JsonWebKey } from 'node:crypto'
import { parseEnvelope, symmetricDecrypt, symmetricEncrypt } from 'better-auth/crypto'
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
 *
 * `rewrite`: what an older secret encrypted is encrypted anew, so that the older one can be dropped. Not while a
 * process may still run that does not know the newest.
 */
export async function loadSigningKeys(
  { context }: Auth,
  log: FastifyBaseLogger,
  rewrite: boolean
): Promise<readonly SigningKey[]> {
  const keys = await readKeys(context, log, rewrite)
  if (keys.some(isLive)) return keys
  await createJwk({ context } as Parameters<typeof createJwk>[0], JWT_OPTIONS)
  return readKeys(context, log, false)
}

async function readKeys(
  context: Auth['context'],
  log: FastifyBaseLogger,
  rewrite: boolean
): Promise<readonly SigningKey[]> {
  const keys: SigningKey[] = []
  for (const row of await readRows(context)) {
    const found = await decrypt(context, row).catch(() => null)
    if (found === null) {
      log.warn({ event: 'jwks.unreadable_key', kid: row.id })
      continue
    }
    keys.push(found.key)
    if (rewrite && !isUnderNewest(context, row)) {
      await encryptAnew(context, row, found.jwk)
      log.info({ event: 'jwks.encrypted_anew', kid: row.id })
    }
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

/** Of one secret without versions there is no older one. */
function isUnderNewest({ secretConfig }: Auth['context'], { privateKey }: KeyRow): boolean {
  if (typeof secretConfig === 'string') return true
  return parseEnvelope(JSON.parse(privateKey) as string)?.version === secretConfig.currentVersion
}

/** Of several processes that do so at once one succeeds; the others find another row than they read. */
async function encryptAnew({ adapter, secretConfig }: Auth['context'], row: KeyRow, jwk: string): Promise<void> {
  const privateKey = JSON.stringify(await symmetricEncrypt({ key: secretConfig, data: jwk }))
  const where = [
    { field: 'id', value: row.id },
    { field: 'privateKey', value: row.privateKey }
  ]
  await adapter.updateMany({ model: 'jwks', where, update: { privateKey } })
}

async function decrypt({ secretConfig }: Auth['context'], row: KeyRow): Promise<{ jwk: string; key: SigningKey }> {
  const jwk = await symmetricDecrypt({ key: secretConfig, data: JSON.parse(row.privateKey) as string })
  return { jwk, key: keyOf(row, jwk) }
}

function keyOf(row: KeyRow, jwk: string): SigningKey {
  return {
    kid: row.id,
    privateKey: createPrivateKey({ key: JSON.parse(jwk) as JsonWebKey, format: 'jwk' }),
    createdAt: row.createdAt.getTime(),
    expiresAt: row.expiresAt?.getTime() ?? null
  }
}
