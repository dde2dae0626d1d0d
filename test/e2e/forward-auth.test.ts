/** nginx and Caddy in front, as docs/forward-auth.md configures them: they serve, the gateway decides. */
import t, { type Test } from 'tap'
import { get, type TestGateway, type TestUser, signUp, startGateway } from '../support/gateway.js'
import { type FrontProxy, type Places, startCaddy, startNginx } from '../support/front-proxy.js'
import { exchange } from '../support/raw-http.js'
import { startUpstream, type Upstream } from '../support/upstream.js'

const ROUTES = `
upstreams:
  a: { targets: [$UPSTREAM], internalKey: the-internal-key, audience: a }
routes:
  - { name: admin, path: /app/admin/*, upstream: a, access: { roles: [admin] } }
  - { name: app, path: /app/*, upstream: a, access: session }
  - { name: optional, path: /optional/*, upstream: a, access: optional }
  - { name: public, path: /public/*, upstream: a, access: public }
  - { name: few, path: /few/*, upstream: a, access: session, rateLimit: { max: 2, window: 1m, by: user } }
`

const IDENTITY = /^x[-_.](user|session|organization|gateway)/i

interface Scene {
  readonly gateway: TestGateway
  readonly service: Upstream
  readonly front: FrontProxy
  readonly ada: TestUser
  /** Through the proxy. */
  ask: (path: string, headers?: Readonly<Record<string, string>>, init?: RequestInit) => Promise<Response>
}

async function setScene(t: Test, start: (t: Test, places: Places) => Promise<FrontProxy>): Promise<Scene> {
  const service = await startUpstream(t)
  const gateway = await startGateway(t, {
    yaml: ROUTES,
    redis: false,
    env: { TRUSTED_PROXIES: '127.0.0.1', SESSION_LOCAL_LEASE: '0' }
  })
  const front = await start(t, { gatewayPort: gateway.port, servicePort: service.port })
  const ada = await signUp(gateway)
  return {
    gateway,
    service,
    front,
    ada,
    ask: (path, headers = {}, init = {}) =>
      fetch(`http://127.0.0.1:${front.port}${path}`, { ...init, headers, redirect: 'manual' })
  }
}

/** With the session's cookie; the status of the answer. */
async function handshake({ front, ada }: Scene, origin: string): Promise<number> {
  const headers = {
    Host: 'gw.test',
    Cookie: ada.cookie,
    Origin: origin,
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ=='
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const [answer] = await exchange(front.port, `GET /app/ws HTTP/1.1\r\n${lines.join('')}\r\n`)
  return answer.status
}

for (const [name, start] of [
  ['nginx', startNginx],
  ['Caddy', startCaddy]
] as const) {
  t.test(name, async t => {
    const scene = await setScene(t, start)
    const { gateway, service, ada, ask } = scene
    const { cookie } = ada

    t.test('only a session reaches the service, and the service knows whose it is', async t => {
      const stranger = await ask('/app/things?x=1')
      t.equal(stranger.status, 401)
      t.match(stranger.headers.get('www-authenticate'), /^Bearer realm="session-gateway"/)
      t.match(await stranger.json(), { success: false, code: 'AUTHENTICATION_REQUIRED', requestId: /./ })
      t.equal(service.received.length, 0)

      const known = await ask('/app/things?x=1', { cookie: `${cookie}; theme=dark` })

      t.equal(known.status, 200)
      t.match(service.received[0], {
        method: 'GET',
        url: '/app/things?x=1',
        headers: {
          'x-user-id': ada.id,
          'x-user-email': ada.email,
          'x-user-email-verified': 'false',
          'x-user-roles': 'user',
          'x-session-id': /./,
          'x-gateway-assertion': /^eyJ/,
          'x-request-id': /./
        }
      })
      t.notMatch(JSON.stringify(service.received[0]?.rawHeaders), /session_token|the-internal-key/)
      t.notMatch(JSON.stringify([...known.headers]), ada.id, 'and the client is not told')
      t.equal(gateway.upstream.received.length, 0, 'the gateway forwards nothing')
      t.match(gateway.log.at(-1), { method: 'GET', path: '/app/things', route: 'app', status: 200 })
    })

    t.test('a body goes to the service, past the gateway, and only with an origin of ours', async t => {
      const body = 'x'.repeat(100_000)
      const post = (origin: string) => ask('/app/things', { cookie, origin }, { method: 'POST', body })
      const before = service.received.length

      t.equal((await post('https://evil.test')).status, 403)
      t.equal(service.received.length, before)
      t.equal((await post(gateway.origin)).status, 200)
      t.match(service.received.at(-1), { method: 'POST', bodyLength: body.length, headers: { 'x-user-id': ada.id } })
      t.match(gateway.log.at(-1), { method: 'POST', status: 200 })
    })

    t.test('a bearer token opens the way as well, and stays here', async t => {
      t.equal((await ask('/app/x', { authorization: `Bearer ${ada.bearer}` })).status, 200)
      t.equal(service.received.at(-1)?.headers.authorization, undefined)
    })

    t.test('identity headers of a client do not survive, in no spelling, with and without a session', async t => {
      const spoofed = [
        'X-User-ID',
        'x-user-roles',
        'X_User_ID',
        'X.User.ID',
        'X-Organization-ID',
        'X-Gateway-Assertion'
      ]
      for (const [path, credential] of [
        ['/app/x', `Cookie: ${cookie}\r\n`],
        ['/optional/x', ''],
        ['/public/x', '']
      ] as const) {
        const lines = spoofed.map(header => `${header}: evil\r\n`).join('')
        const request = `GET ${path} HTTP/1.1\r\nHost: gw.test\r\n${credential}${lines}Connection: close\r\n\r\n`
        const [answer] = await exchange(scene.front.port, request)

        t.equal(answer.status, 200, path)
        const { rawHeaders = [] } = service.received.at(-1) ?? {}
        t.notMatch(JSON.stringify(rawHeaders), 'evil', path)
        const told = rawHeaders.filter(
          (value, i) => i % 2 === 1 && IDENTITY.test(rawHeaders[i - 1] ?? '') && value !== ''
        )
        t.equal(told.length > 0, credential !== '', path)
      }
    })

    t.test('what a client says about its request decides nothing', async t => {
      const before = service.received.length
      const lies = [
        { 'x-original-uri': '/public/x', 'x-original-method': 'GET' },
        { 'x-forwarded-uri': '/public/x', 'x-forwarded-method': 'GET' },
        { 'x-original-url': 'http://gw.test/public/x' },
        { 'x-rewrite-url': '/public/x' },
        { 'x-forwarded-for': '127.0.0.1', 'x-forwarded-host': 'other.test' }
      ]
      for (const headers of lies) t.equal((await ask('/app/x', headers)).status, 401, JSON.stringify(headers))
      t.equal((await ask('/app/admin/x', { ...lies[0], ...lies[1], cookie })).status, 403)
      t.equal(service.received.length, before)
      const direct = await get(gateway, '/app/x', { ...lies[0], ...lies[1] })
      t.equal(direct.status, 401)
    })

    t.test('a WebSocket handshake with a cookie needs an origin of ours, Upgrade or not', async t => {
      const before = service.received.length
      t.equal(await handshake(scene, 'https://evil.test'), 403)
      t.equal(service.received.length, before)
      t.equal(await handshake(scene, gateway.origin), 200, 'the echo service speaks no WebSocket')
      t.equal(service.received.length, before + 1)
    })

    t.test('the door is shut for clients', async t => {
      for (const path of ['/.gateway/verify', '/.gateway/verify/public/x', '/.gateway//verify', '/.gateway/%76erify']) {
        const response = await ask(path, { cookie, 'x-forwarded-uri': '/app/x', 'x-forwarded-method': 'GET' })

        t.not(response.status, 200, path)
        t.equal(response.headers.get('x-user-id'), null)
      }
    })

    t.test('a role, a path nobody has a route for, and one with two readings are 403', async t => {
      const before = service.received.length
      for (const [path, code] of [
        ['/app/admin/x', 'INSUFFICIENT_ROLE'],
        ['/nothing', 'ROUTE_NOT_FOUND'],
        ['/public/%2e%2e/app/x', 'BAD_PATH'],
        ['/public/..%2fapp', 'BAD_PATH'],
        ['/public//x', 'BAD_PATH']
      ] as const) {
        const [answer] = await exchange(
          scene.front.port,
          `GET ${path} HTTP/1.1\r\nHost: gw.test\r\nCookie: ${cookie}\r\nConnection: close\r\n\r\n`
        )
        t.equal(answer.status, 403, path)
        t.match(JSON.parse(String(answer.body)), { success: false, code })
      }
      t.equal(service.received.length, before)
    })

    t.test('who has had enough is told when to come back', async t => {
      for (const status of [200, 200, 429]) t.equal((await ask('/few/x', { cookie })).status, status)
      const limited = await ask('/few/x', { cookie })
      t.match(limited.headers.get('retry-after'), /^\d+$/)
      t.match(await limited.json(), { code: 'RATE_LIMITED' })
    })

    t.test('a session that is extended brings the browser its cookie', async t => {
      const bob = await signUp(gateway)
      await gateway.sql`update auth.session set expires_at = now() + interval '5 days' where user_id = ${bob.id}`

      const answer = await ask('/app/x', { cookie: bob.cookie })

      t.equal(answer.status, 200)
      t.match(answer.headers.getSetCookie(), [/^better-auth\.session_token=.*Max-Age=\d+/])
      t.strictSame((await ask('/app/x', { cookie })).headers.getSetCookie(), [], 'and nobody else')
    })

    t.test('sign-in and sign-out go through the proxy, and end it', async t => {
      const login = { email: ada.email, password: 'correct horse battery staple' }
      const headers = { 'content-type': 'application/json', origin: gateway.origin }
      const signedIn = await ask('/api/auth/sign-in/email', headers, { method: 'POST', body: JSON.stringify(login) })
      t.equal(signedIn.status, 200)
      const own = signedIn.headers.getSetCookie()[0]?.split(';')[0] ?? ''
      t.equal((await ask('/app/x', { cookie: own })).status, 200)

      t.equal(
        (await ask('/api/auth/sign-out', { ...headers, cookie: own }, { method: 'POST', body: '{}' })).status,
        200
      )

      t.equal((await ask('/app/x', { cookie: own })).status, 401)
    })

    t.test('when nobody can know it is 503, and the service hears nothing', async t => {
      const before = service.received.length
      await gateway.postgres.stop()
      t.equal((await ask('/app/x', { cookie: ada.cookie })).status, 503)
      t.equal(service.received.length, before)
      await gateway.app.close()
      t.ok([502, 503].includes((await ask('/app/x', { cookie: ada.cookie })).status), 'the gateway gone altogether')
      t.equal(service.received.length, before)
    })
  })
}
