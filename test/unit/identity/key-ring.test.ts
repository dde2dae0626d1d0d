import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import t from 'tap'
import { KeyRing, type SigningKey } from '../../../src/identity/key-ring.js'

const NOW = Date.UTC(2026, 10, 21, 12)
const clock = () => NOW
const HOUR = 3_600_000

function aKey(overrides: Partial<SigningKey> = {}): SigningKey {
  const { privateKey } = generateKeyPairSync('ed25519')
  return { kid: 'key-1', privateKey, createdAt: NOW - HOUR, expiresAt: null, ...overrides }
}

async function ringOf(t: { teardown: (fn: () => unknown) => unknown }, ...keys: SigningKey[]): Promise<KeyRing> {
  const ring = new KeyRing(async () => keys, clock)
  t.teardown(() => ring.stop())
  await ring.start()
  return ring
}

function kidOf(token: string | null): string {
  return JSON.parse(Buffer.from(token?.split('.')[0] ?? '', 'base64url').toString()).kid
}

t.test('what is signed verifies with the published key, and only the public half is published (R56)', async t => {
  const ring = await ringOf(t, aKey())

  const token = ring.sign({ sub: 'ada' }) ?? ''

  const [header = '', payload = '', signature = ''] = token.split('.')
  const { keys } = JSON.parse(ring.jwks)
  t.strictSame(Object.keys(keys[0]).toSorted(), ['alg', 'crv', 'kid', 'kty', 'use', 'x'])
  t.strictSame(JSON.parse(Buffer.from(header, 'base64url').toString()), { alg: 'EdDSA', typ: 'JWT', kid: 'key-1' })
  const key = createPublicKey({ key: keys[0], format: 'jwk' })
  t.ok(verify(null, Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url')))
})

t.test('a new key is published before it is used, so that no upstream meets an unknown one', async t => {
  const fresh = aKey({ kid: 'fresh', createdAt: NOW - 1000 })
  const ring = await ringOf(t, fresh, aKey({ kid: 'known' }))

  t.equal(kidOf(ring.sign({})), 'known')
  t.match(ring.jwks, /"fresh"/)
})

t.test('the newest of the known keys signs, and the very first key signs at once', async t => {
  const known = await ringOf(t, aKey({ kid: 'old', createdAt: NOW - 2 * HOUR }), aKey({ kid: 'new' }))
  const first = await ringOf(t, aKey({ kid: 'first', createdAt: NOW }))

  t.equal(kidOf(known.sign({})), 'new')
  t.equal(kidOf(first.sign({})), 'first')
})

t.test('a retired key signs nothing, and stays published for what it signed before', async t => {
  const ring = await ringOf(t, aKey({ expiresAt: NOW }))

  t.equal(ring.sign({}), null)
  t.equal(ring.ready, false)
  t.match(ring.jwks, /"key-1"/)
})

t.test('without keys nothing is signed; when the store is back, it is', async t => {
  let up = false
  const ring = new KeyRing(async () => {
    if (!up) throw new Error('store is away')
    return [aKey()]
  }, clock)
  t.teardown(() => ring.stop())

  await ring.start()
  t.equal(ring.sign({}), null)
  t.equal(ring.jwks, '{"keys":[]}')

  up = true
  await ring.start()
  t.equal(ring.ready, true)
})

t.test('an outage of the store takes away no key that was loaded', async t => {
  let up = true
  const ring = new KeyRing(async () => {
    if (!up) throw new Error('store is away')
    return [aKey()]
  }, clock)
  t.teardown(() => ring.stop())
  await ring.start()

  up = false
  await ring.start()

  t.equal(kidOf(ring.sign({})), 'key-1')
})

t.test('a key of another kind is refused, not used with the wrong algorithm', async t => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const ring = await ringOf(t, aKey({ privateKey }))

  t.equal(ring.ready, false)
})
