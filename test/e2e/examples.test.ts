/**
 * The upstreams of `examples/`, started as their READMEs say: alone, where they must refuse, and behind the gateway.
 */
import { execFile } from 'node:child_process'
import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { freePort } from '../../src/data/postgres-cluster.js'
import { builtCommand } from '../support/built.js'
import { type Example, startExample } from '../support/examples.js'
import { post, signUp, startGateway, type TestGateway } from '../support/gateway.js'
import { ROOT } from '../support/root.js'

const COMPOSE_ROUTES = join(ROOT, 'examples/compose/gateway.yaml')

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

/** The routes of docker-compose.yml, with both examples behind them, each verifying its own audience's assertions. */
async function startCompose(t: Test): Promise<TestGateway> {
  const port = await freePort()
  const origin = `http://localhost:${port}`
  const urls = await Promise.all(
    EXAMPLES.map(name =>
      startExample(t, name, {
        INTERNAL_API_KEY: KEY,
        GATEWAY_JWKS_URL: `${origin}/.well-known/jwks.json`,
        GATEWAY_ISSUER: origin,
        GATEWAY_AUDIENCE: name
      })
    )
  )
  const [fastapi, express] = urls.map(({ url }) => url)
  const yaml = (await readFile(COMPOSE_ROUTES, 'utf8'))
    .replace('http://fastapi:8000', fastapi ?? '')
    .replace('http://express:3011', express ?? '')
  return startGateway(t, { yaml, env: { PORT: String(port), INTERNAL_API_KEY: KEY } })
}

const PREFIXES = { fastapi: '', express: '/express' } as const satisfies Record<Example, string>

t.test('behind the gateway, with the routes of docker-compose.yml', async t => {
  const gateway = await startCompose(t)
  const { origin } = gateway

  for (const name of EXAMPLES) {
    const at = origin + PREFIXES[name]

    await t.test(`${name}: knows who is calling, whatever the client claims to be (R3, R6, R54, R56)`, async t => {
      const ada = await signUp(gateway)
      const claims = { 'x-user-id': 'mallory', 'x-user-roles': 'admin', x_user_id: 'mallory' }
      const { cookie } = ada

      const anonymous = await ask(`${at}/api/orders`, { ...claims, authorization: `Bearer ${KEY}` })
      const created = await ask(
        `${at}/api/orders`,
        { ...claims, cookie, origin, 'content-type': 'application/json' },
        { method: 'POST', body: '{"item":"tea"}' }
      )
      const listed = await ask(`${at}/api/orders`, { ...claims, cookie })

      t.match(anonymous, { status: 401, body: { success: false, code: 'INVALID_SESSION' } })
      t.strictSame(created, { status: 201, body: { id: 1, item: 'tea' } })
      t.strictSame(listed, { status: 200, body: { user_id: ada.id, orders: [{ id: 1, item: 'tea' }] } })
    })

    await t.test(`${name}: the admin routes are for administrators (R59, R63)`, async t => {
      const [user, admin] = [await signUp(gateway), await signUp(gateway, 'admin')]

      const refused = await ask(`${at}/api/admin/health`, { cookie: user.cookie })
      const granted = await ask(`${at}/api/admin/health`, { cookie: admin.cookie })

      t.match(refused, { status: 403, body: { code: 'INSUFFICIENT_ROLE' } })
      t.strictSame(granted, { status: 200, body: { status: 'ok', user_id: admin.id } })
    })

    await t.test(`${name}: a sign-out is a sign-out here too (R14, R43)`, async t => {
      const { cookie } = await signUp(gateway)
      t.equal((await ask(`${at}/api/orders`, { cookie })).status, 200)

      t.equal((await post(gateway, '/api/auth/sign-out', {}, { cookie })).status, 200)

      t.match(await ask(`${at}/api/orders`, { cookie }), { status: 401, body: { code: 'INVALID_SESSION' } })
    })
  }
})

t.test('a refusal of the example reaches the client word for word (R3, R55)', async t => {
  const { url } = await startExample(t, 'express', { INTERNAL_API_KEY: KEY })
  const gateway = await startGateway(t, {
    yaml: `
upstreams: { orders: { targets: ['${url}'], internalKey: another-key } }
routes: [{ name: orders, path: /api/*, upstream: orders, access: session }]`
  })
  const { cookie } = await signUp(gateway)

  const answer = await ask(`${gateway.origin}/api/orders`, { cookie })

  t.strictSame(answer, { status: 401, body: { detail: 'Invalid API key' } })
})

t.test('the routes of docker-compose.yml pass their own tests', async t => {
  const args = await builtCommand('check')
  const env = { PATH: process.env.PATH, GATEWAY_CONFIG: COMPOSE_ROUTES, INTERNAL_API_KEY: KEY }

  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: t.testdir(), env })

  t.match(stdout, /8 of 8 tests pass/)
})
