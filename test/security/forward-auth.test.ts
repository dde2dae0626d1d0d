/**
 * The forward-auth door by itself: whom it believes, what it decides on, and what it tells (contract section 4, A21).
 */
import { request as send } from 'node:http'
import t from 'tap'
import { get, post, signUp, startGateway, type TestGateway } from '../support/gateway.js'

const ROUTES = `
upstreams:
  a: { targets: [$UPSTREAM], internalKey: the-internal-key }
  b: { targets: [$UPSTREAM], audience: b }
routes:
  - { name: admin, path: /app/admin/*, upstream: a, access: { roles: [admin] } }
  - { name: app, path: /app/*, upstream: a, access: session }
  - { name: posts, path: /posts/*, methods: [POST], upstream: b, access: session }
  - { name: hosted, path: /app/*, host: open.test, upstream: a, access: public }
  - { name: optional, path: /optional/*, upstream: b, access: optional }
  - { name: public, path: /public/*, upstream: a, access: public }
  - { name: page, path: /page/*, upstream: a, access: session, onUnauthenticated: redirect }
  - { name: few, path: /few/*, upstream: a, access: session, rateLimit: { max: 3, window: 1m, by: user } }
`

const trusting = { TRUSTED_PROXIES: '127.0.0.0/8,::1' }

/** As Traefik and Caddy ask. */
const forwarded = (method: string, uri: string) => ({ 'x-forwarded-method': method, 'x-forwarded-uri': uri })
/** As nginx asks. */
const original = (method: string, uri: string) => ({ 'x-original-method': method, 'x-original-uri': uri })

interface Verdict {
  readonly status: number
  readonly headers: Headers
  readonly body: string
}

async function ask(
  gateway: TestGateway,
  headers: Readonly<Record<string, string>>,
  path = '/.gateway/verify'
): Promise<Verdict> {
  const response = await get(gateway, path, headers)
  return { status: response.status, headers: response.headers, body: await response.text() }
}

t.test('the door of a trusted proxy', async t => {
  const gateway = await startGateway(t, { yaml: ROUTES, env: trusting })
  const ada = await signUp(gateway)
  const { cookie } = ada

  t.test('lets a session in, tells who it is, and sends nothing on', async t => {
    const asked = [
      [forwarded('GET', '/app/x?secret=1'), undefined],
      [original('GET', '/app/x?secret=1'), undefined],
      [{ 'x-original-method': 'GET', 'x-original-url': 'https://gw.test/app/x?secret=1' }, undefined],
      [{}, '/.gateway/verify/app/x?secret=1']
    ] as const
    for (const [headers, path] of asked) {
      const { status, headers: told, body } = await ask(gateway, { ...headers, cookie }, path)

      t.equal(status, 200, JSON.stringify(headers))
      t.equal(body, '')
      t.match(Object.fromEntries(told), {
        'x-user-id': ada.id,
        'x-user-email': ada.email,
        'x-user-email-verified': 'false',
        'x-user-roles': 'user',
        'x-session-id': /./,
        'x-request-id': /./,
        'cache-control': 'no-store'
      })
      t.equal(told.get('authorization'), null, 'never the internal key')
      t.match(gateway.log.at(-1), { method: 'GET', path: '/app/x', route: 'app', status: 200, granted: true })
    }
    t.notMatch(JSON.stringify(gateway.log), 'secret=1')
    t.equal(gateway.upstream.received.length, 0)
  })

  t.test('adds the assertion where the upstream has an audience', async t => {
    const { status, headers } = await ask(gateway, { ...forwarded('GET', '/optional/x'), cookie })

    t.equal(status, 200)
    const claims = headers.get('x-gateway-assertion')?.split('.')[1] ?? ''
    t.match(JSON.parse(Buffer.from(claims, 'base64url').toString()), { aud: 'b', sub: ada.id })
  })

  t.test('names nobody where nobody needs to be known', async t => {
    for (const [uri, headers] of [
      ['/optional/x', {}],
      ['/public/x', { cookie }]
    ] as const) {
      const { status, headers: told } = await ask(gateway, { ...forwarded('GET', uri), ...headers })

      t.equal(status, 200, uri)
      t.strictSame(
        [...told.keys()].filter(name => /^x-(user|session|organization|gateway)-/.test(name)),
        []
      )
    }
  })

  t.test('a refusal is 401 or 403, whatever it would be elsewhere, with our body and the code as a header', async t => {
    const cases = [
      ['GET', '/app/x', {}, 401, 'AUTHENTICATION_REQUIRED'],
      ['GET', '/app/x', { cookie: 'better-auth.session_token=a.b' }, 401, 'INVALID_SESSION'],
      ['GET', '/app/admin/x', { cookie }, 403, 'INSUFFICIENT_ROLE'],
      ['GET', '/app/Admin/x', { cookie }, 403, 'INSUFFICIENT_ROLE'],
      ['GET', '/nothing', { cookie }, 403, 'ROUTE_NOT_FOUND'],
      ['GET', '/posts/1', { cookie }, 403, 'METHOD_NOT_ALLOWED'],
      ['POST', '/posts/1', { cookie }, 403, 'ORIGIN_NOT_ALLOWED'],
      ['POST', '/posts/1', { cookie, origin: 'https://evil.test' }, 403, 'ORIGIN_NOT_ALLOWED'],
      ['TRACE', '/public/x', {}, 403, 'BAD_REQUEST'],
      ['get', '/public/x', {}, 403, 'BAD_REQUEST'],
      ...[
        '/public/../app/x',
        '/public/%2e%2e/app',
        '/public//x',
        '/public/..%2fapp',
        '/public/%zz',
        '/public#/app'
      ].map(uri => ['GET', uri, { cookie }, 403, 'BAD_PATH'] as const)
    ] as const
    for (const [method, uri, headers, status, code] of cases) {
      for (const told of [forwarded(method, uri), original(method, uri)]) {
        const verdict = await ask(gateway, { ...told, ...headers })

        t.equal(verdict.status, status, `${method} ${uri}`)
        t.equal(verdict.headers.get('x-gateway-code'), code)
        t.match(JSON.parse(verdict.body), { success: false, code, requestId: /./ })
        t.equal(verdict.headers.get('www-authenticate') !== null, status === 401)
        t.equal(verdict.headers.get('x-user-id'), null)
      }
    }
  })

  t.test('a page that would lead to the portal is a 401 here: nginx makes an error of anything else', async t => {
    t.equal((await ask(gateway, { ...forwarded('GET', '/page/x'), accept: 'text/html' })).status, 401)
  })

  t.test('an unsafe method with our origin passes', async t => {
    t.equal((await ask(gateway, { ...forwarded('POST', '/posts/1'), cookie, origin: gateway.origin })).status, 200)
    t.equal(
      (await ask(gateway, { ...original('POST', '/posts/1'), authorization: `Bearer ${ada.bearer}` })).status,
      200
    )
  })

  t.test('what a client wrote beside the words of the proxy decides nothing (CVE-2026-40575)', async t => {
    const spoofed = [
      { ...original('GET', '/app/x'), ...forwarded('GET', '/public/x') },
      { ...forwarded('GET', '/app/x'), ...original('GET', '/public/x') },
      { ...forwarded('DELETE', '/public/x'), 'x-original-method': 'GET' },
      { ...original('POST', '/posts/1'), 'x-forwarded-method': 'GET' },
      { ...forwarded('GET', '/app/x'), 'x-original-method': 'GET', 'x-original-url': 'http://gw.test/public/x' },
      { ...original('GET', '/app/x'), 'x-original-url': 'http://gw.test/public/x' },
      { 'x-original-method': 'GET', 'x-original-url': 'http://open.test/app/x', 'x-forwarded-host': 'gw.test' },
      // Half a pair: then the proxy was not told to set both.
      { 'x-forwarded-uri': '/public/x' },
      { 'x-original-uri': '/public/x' },
      { 'x-original-method': 'GET' },
      { 'x-forwarded-host': 'a.test, open.test', ...forwarded('GET', '/app/x') },
      { 'x-forwarded-uri': '/public/x, /app/x', 'x-forwarded-method': 'GET' },
      {}
    ]
    for (const headers of spoofed) {
      const { status, headers: told } = await ask(gateway, headers)

      t.equal(status, 403, JSON.stringify(headers))
      t.match(told.get('x-gateway-code'), /^BAD_(REQUEST|PATH)$/)
    }
    t.equal((await ask(gateway, forwarded('GET', '/public/x'), '/.gateway/verify/app/x')).status, 403)
    t.equal((await ask(gateway, {}, '/.gateway/verify//public/x')).status, 403)
  })

  t.test('the host that decides is the one the proxy names', async t => {
    const told = forwarded('GET', '/app/x')

    t.equal((await ask(gateway, { ...told, 'x-forwarded-host': 'open.test' })).status, 200)
    t.equal((await ask(gateway, { ...told, 'x-forwarded-host': 'gw.test' })).status, 401)
    const url = { 'x-original-method': 'GET', 'x-original-url': 'http://open.test:81/app/x' }
    t.equal((await ask(gateway, url)).status, 200)
  })

  t.test('is asked with any method; a preflight is judged and not answered', async t => {
    for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS', 'DELETE', 'PROPFIND']) {
      const asked = { ...forwarded('GET', '/app/x'), origin: 'http://localhost:3000' }

      t.equal(await statusOf(gateway, method, { ...asked, cookie }), 200, method)
      t.equal(await statusOf(gateway, method, asked), 401, method)
    }
    t.equal(await statusOf(gateway, 'OPTIONS', forwarded('OPTIONS', '/app/x')), 401)
    t.equal(await statusOf(gateway, 'OPTIONS', { origin: 'http://localhost:3000' }, '/.gateway/verify/app/x'), 401)
    t.equal(await statusOf(gateway, 'OPTIONS', {}, '/.gateway/verify/public/x'), 200)
  })

  t.test('requests it lets pass count for the limit of their route, together with our own', async t => {
    t.equal((await get(gateway, '/few/x', { cookie })).status, 200)
    t.equal((await ask(gateway, { ...forwarded('GET', '/few/x'), cookie })).status, 200)
    t.equal((await ask(gateway, { ...original('GET', '/few/x'), cookie })).status, 200)
    const limited = await ask(gateway, { ...original('GET', '/few/x'), cookie })

    t.equal(limited.status, 429)
    t.match(Object.fromEntries(limited.headers), { 'retry-after': /^\d+$/, 'x-gateway-code': 'RATE_LIMITED' })
    t.equal((await get(gateway, '/few/x', { cookie })).status, 429)
  })

  t.test('a session that has ended is refused by the next question', async t => {
    const bob = await signUp(gateway)
    t.equal((await ask(gateway, { ...forwarded('GET', '/app/x'), cookie: bob.cookie })).status, 200)

    t.equal((await post(gateway, '/api/auth/sign-out', {}, { cookie: bob.cookie })).status, 200)

    t.equal((await ask(gateway, { ...forwarded('GET', '/app/x'), cookie: bob.cookie })).status, 401)
  })
})

t.test('nobody but a trusted proxy learns anything at the door, whatever they say', async t => {
  const gateway = await startGateway(t, { yaml: ROUTES, redis: false, env: { TRUSTED_PROXIES: '203.0.113.7' } })
  const { cookie } = await signUp(gateway)

  for (const headers of [{}, forwarded('GET', '/public/x'), original('GET', '/app/x')]) {
    for (const path of ['/.gateway/verify', '/.gateway/verify/public/x']) {
      const verdict = await ask(gateway, { ...headers, cookie, 'x-forwarded-for': '203.0.113.7' }, path)

      t.equal(verdict.status, 403)
      t.match(JSON.parse(verdict.body), { code: 'ROUTE_NOT_FOUND' })
      t.equal(verdict.headers.get('x-user-id'), null)
      t.match(gateway.log.at(-1), { route: /^\/\.gateway\/verify/, reason: 'untrusted_peer', source: 'none' })
    }
  }
  const spoof = await get(gateway, '/app/x', { ...forwarded('GET', '/public/x'), ...original('GET', '/public/x') })
  t.equal(spoof.status, 401, 'nor does it move a request of our own (A21)')
})

t.test('without Redis limits are one for the door and for our own requests', async t => {
  const gateway = await startGateway(t, { yaml: ROUTES, redis: false, env: trusting })
  const { cookie } = await signUp(gateway)
  for (let i = 0; i < 3; i++) await (await get(gateway, '/few/x', { cookie })).arrayBuffer()

  t.equal((await ask(gateway, { ...forwarded('GET', '/few/x'), cookie })).status, 429)
})

t.test('when nobody can know, the door says 503 and not no', async t => {
  const gateway = await startGateway(t, { yaml: ROUTES, redis: false, env: { ...trusting, SESSION_LOCAL_LEASE: '0' } })
  const { cookie } = await signUp(gateway)
  await gateway.postgres.stop()

  const { status, headers } = await ask(gateway, { ...forwarded('GET', '/app/x'), cookie })

  t.equal(status, 503)
  t.match(Object.fromEntries(headers), { 'retry-after': /^\d+$/, 'x-gateway-code': 'AUTH_SERVICE_UNAVAILABLE' })
})

t.test('AUTH_MODE=attached has the same door', async t => {
  const hosted = await startGateway(t, { redis: false })
  const attached = await startGateway(t, {
    postgres: hosted.postgres,
    redis: false,
    yaml: ROUTES,
    env: { ...trusting, AUTH_MODE: 'attached', BETTER_AUTH_URL: hosted.origin }
  })
  const ada = await signUp(hosted)

  const { status, headers } = await ask(attached, { ...forwarded('GET', '/app/x'), cookie: ada.cookie })

  t.equal(status, 200)
  t.equal(headers.get('x-user-id'), ada.id)
})

function statusOf(
  { port }: TestGateway,
  method: string,
  headers: Readonly<Record<string, string>>,
  path = '/.gateway/verify'
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const request = send({ port, host: '127.0.0.1', path, method, headers }, response => {
      response.resume()
      resolve(response.statusCode)
    })
    request.on('error', reject).end()
  })
}
