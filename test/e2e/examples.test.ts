/** The upstreams of `examples/`, started as their READMEs say: what they refuse when the gateway is not in front. */
import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { type Example, startExample } from '../support/examples.js'

const KEY = 'the-internal-key-of-these-tests'
const EXAMPLES: readonly Example[] = ['fastapi', 'express']
const ISSUER = 'http://gateway.test'

interface Answer {
  readonly status: number
  readonly body: unknown
}

async function ask(url: string, headers: Record<string, string> = {}, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, { ...init, headers })
  return { status: response.status, body: await response.json() }
}

/** What the gateway would send for this user. */
function asUser(userId: string, roles = 'user'): Record<string, string> {
  return { authorization: `Bearer ${KEY}`, 'x-user-id': userId, 'x-user-roles': roles }
}

interface KeyServer {
  readonly url: string
  readonly assertion: (claims?: Record<string, unknown>, header?: Record<string, unknown>) => string
  readonly close: () => Promise<void>
}

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

/** A key set served over HTTP, and assertions signed as the gateway signs them. */
async function startKeyServer(t: Test): Promise<KeyServer> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'EdDSA', use: 'sig' }
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [jwk] }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = async (): Promise<void> => {
    if (!server.listening) return
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  t.teardown(close)

  const now = Math.floor(Date.now() / 1000)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/.well-known/jwks.json`,
    assertion: (claims = {}, header = {}) => {
      const content = `${part({ alg: 'EdDSA', kid: 'k1', typ: 'JWT', ...header })}.${part({
        iss: ISSUER,
        aud: 'orders',
        sub: 'ada',
        iat: now,
        exp: now + 60,
        ...claims
      })}`
      return `${content}.${sign(null, Buffer.from(content), privateKey).toString('base64url')}`
    },
    close
  }
}

for (const name of EXAMPLES) {
  t.test(`${name}: without the gateway's key and user nobody gets in, with the exact words (R54, R55)`, async t => {
    const { url } = await startExample(t, name, { INTERNAL_API_KEY: KEY })
    const refusals: readonly [string, Record<string, string>][] = [
      ['Missing API key', {}],
      ['Missing API key', { 'x-user-id': 'ada' }],
      ['Missing API key', { authorization: `Basic ${KEY}`, 'x-user-id': 'ada' }],
      ['Missing API key', { authorization: 'Bearer', 'x-user-id': 'ada' }],
      ['Invalid API key', { authorization: 'Bearer wrong', 'x-user-id': 'ada' }],
      ['Invalid API key', { authorization: 'Bearer wrong' }],
      ['Invalid API key', { authorization: `Bearer ${KEY}x`, 'x-user-id': 'ada' }],
      ['Invalid API key', { authorization: `Bearer ${KEY.slice(0, -1)}`, 'x-user-id': 'ada' }],
      ['Invalid API key', { authorization: 'Bearer k\u00e9y', 'x-user-id': 'ada' }],
      ['Missing user ID', { authorization: `Bearer ${KEY}` }],
      ['Missing user ID', { authorization: `Bearer ${KEY}`, 'x-user-id': '' }]
    ]

    for (const [detail, headers] of refusals) {
      for (const path of ['/api/orders', '/api/profile', '/api/admin/health']) {
        t.strictSame(
          await ask(url + path, headers),
          { status: 401, body: { detail } },
          `${path} ${JSON.stringify(headers)}`
        )
      }
    }
    t.strictSame(await ask(`${url}/health`), { status: 200, body: { status: 'ok' } }, 'the probe needs no key')
  })

  t.test(`${name}: what the gateway says about the caller is what the routes see (R6, R58)`, async t => {
    const { url } = await startExample(t, name, { INTERNAL_API_KEY: KEY })
    const json = { 'content-type': 'application/json' }

    const profile = await ask(`${url}/api/profile`, {
      ...asUser('ada', 'user,sup%C3%A9rieur'),
      'x-user-email': 'ad%C3%A0@example.com'
    })
    const created = await ask(
      `${url}/api/orders`,
      { ...asUser('ada'), ...json },
      { method: 'POST', body: '{"item":"tea"}' }
    )
    const mine = await ask(`${url}/api/orders`, asUser('ada'))
    const theirs = await ask(`${url}/api/orders`, asUser('bob'))

    t.strictSame(profile.body, { user_id: 'ada', email: 'adà@example.com', roles: ['user', 'supérieur'] })
    t.strictSame(created, { status: 201, body: { id: 1, item: 'tea' } })
    t.strictSame(mine.body, { user_id: 'ada', orders: [{ id: 1, item: 'tea' }] })
    t.strictSame(theirs.body, { user_id: 'bob', orders: [] })
  })

  t.test(`${name}: the admin routes demand the role again (R59, R63)`, async t => {
    const { url } = await startExample(t, name, { INTERNAL_API_KEY: KEY })

    for (const path of ['/api/admin/health', '/api/orders/admin/all']) {
      const refused = { status: 403, body: { detail: 'Insufficient role' } }
      t.strictSame(await ask(url + path, asUser('ada', 'user,administrator')), refused)
      t.equal((await ask(url + path, asUser('ada', 'user,admin'))).status, 200)
    }
  })

  t.test(`${name}: the key can come from a file, and without one nothing starts`, async t => {
    const dir = t.testdir({ key: `${KEY}\n` })
    const { url } = await startExample(t, name, { INTERNAL_API_KEY_FILE: `${dir}/key` })

    t.equal((await ask(`${url}/api/orders`, asUser('ada'))).status, 200)
    for (const env of [{}, { INTERNAL_API_KEY: '' }]) {
      await t.rejects(startExample(t, name, env as Record<string, string>), /INTERNAL_API_KEY is not set/)
    }
  })

  t.test(`${name}: with a key set the assertion is verified too, and keys out of reach are a 503 (R56)`, async t => {
    const keys = await startKeyServer(t)
    const stranger = await startKeyServer(t)
    const env = { INTERNAL_API_KEY: KEY, GATEWAY_JWKS_URL: keys.url, GATEWAY_ISSUER: ISSUER }
    const { url } = await startExample(t, name, env)
    const withAssertion = (assertion: string): Promise<Answer> =>
      ask(`${url}/api/orders`, { ...asUser('ada'), 'x-gateway-assertion': assertion })
    const past = Math.floor(Date.now() / 1000) - 600
    const unsigned = keys.assertion({}, { alg: 'none' }).replace(/[^.]+$/, '')

    t.equal((await withAssertion(keys.assertion())).status, 200)
    t.strictSame(await ask(`${url}/api/orders`, asUser('ada')), { status: 401, body: { detail: 'Missing assertion' } })
    const bad: readonly [string, string][] = [
      ['of another audience', keys.assertion({ aud: 'billing' })],
      ['of another issuer', keys.assertion({ iss: 'http://evil.test' })],
      ['of another user', keys.assertion({ sub: 'bob' })],
      ['expired', keys.assertion({ iat: past, exp: past + 60 })],
      ['without an end', keys.assertion({ exp: undefined })],
      ['signed by a stranger', stranger.assertion()],
      ['with an unknown key id', stranger.assertion({}, { kid: 'k2' })],
      ['unsigned', unsigned],
      ['not a token', 'abc']
    ]
    for (const [what, assertion] of bad) {
      t.strictSame(await withAssertion(assertion), { status: 401, body: { detail: 'Invalid assertion' } }, what)
    }

    await keys.close()
    const cold = await startExample(t, name, env)
    const answer = await ask(`${cold.url}/api/orders`, { ...asUser('ada'), 'x-gateway-assertion': keys.assertion() })
    t.equal(answer.status, 503, 'an outage is not a refusal')
  })
}
