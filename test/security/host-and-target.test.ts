/** Who is asked, and for what: Host, absolute targets, methods, and headers that claim the request is another one. */
import t from 'tap'
import { refused, startAttack, valuesOf } from '../support/attack.js'
import { RawConnection } from '../support/raw-http.js'

const { gateway, send, sendBytes, user, admin } = await startAttack(t, {
  yaml: `
upstreams:
  a: { targets: [$UPSTREAM] }
routes:
  - { name: hosted-admin, path: /hosted/*, host: admin.test, upstream: a, access: { roles: [admin] } }
  - { name: hosted, path: /hosted/*, upstream: a, access: session }
  - { name: a-admin, path: /api/a/admin/*, upstream: a, access: { roles: [admin] } }
  - { name: a, path: /api/a/*, upstream: a, access: session }
  - { name: public, path: /public/*, upstream: a, access: public }
  - { name: page, path: /page/*, upstream: a, access: session, onUnauthenticated: redirect }
  - { name: read, path: /read/*, methods: [GET], upstream: a, access: public }
`,
  env: { CORS_ORIGINS: 'http://localhost:3000,https://front.test' }
})

t.test('no Host, two of them, or one that is none is refused (B22, RFC 9112 section 3.2)', async t => {
  const wrong = [
    [],
    ['Host: gw.test', 'Host: gw.test'],
    ['Host: gw.test', 'host: evil.test'],
    ['Host:'],
    ['Host: a b'],
    ['Host: gw.test:99999'],
    ['Host: gw.test:x'],
    ['Host: gw.test/path'],
    ['Host: user@gw.test'],
    ['Host: gw.test, evil.test'],
    ['Host: gw.test#'],
    ['Host: gw..test'],
    ['Host: admin.test..'],
    ['Host: .'],
    ['Host: [::1'],
    ['Host: \xe9.test']
  ]
  for (const lines of wrong) {
    const bytes = ['GET /api/a/x HTTP/1.1', ...lines, user.cookieLine, '', ''].join('\r\n')
    refused(t, await sendBytes(bytes), 400, 'BAD_REQUEST', lines.join(' | '))
  }
})

t.test('a name that nobody gave the gateway is routed nowhere, public routes included (B21)', async t => {
  const foreign = ['evil.test', 'EVIL.test:80', 'localhost.evil.test', '127.0.0.1.evil.test', 'notadmin.test', '127.1', 'a.b']
  for (const host of foreign) {
    for (const path of ['/api/a/x', '/public/x', '/hosted/x', '/nothing/x']) {
      refused(t, await send(`GET ${path}`, [`Host: ${host}`, user.cookieLine]), 404, 'ROUTE_NOT_FOUND', host + path)
    }
    const redirect = await send('GET /page/x', [`Host: ${host}`, 'Accept: text/html'])
    refused(t, redirect, 404, 'ROUTE_NOT_FOUND', `${host} is not reflected`)
  }
  t.match(gateway.log.at(-1), { reason: 'foreign_host', status: 404 })

  const forwarded = await send('GET /public/x', ['Host: evil.test', 'X-Forwarded-Host: localhost'])
  refused(t, forwarded, 404, 'ROUTE_NOT_FOUND', 'a stranger’s X-Forwarded-Host')
})

t.test('its own names, names of the neighbourhood and addresses are taken (B21)', async t => {
  const ours = [`localhost:${gateway.port}`, 'LOCALHOST', 'app.localhost', 'gateway:8080', 'admin.test', '[::1]:80']
  for (const host of [...ours, '127.0.0.1', '10.1.2.3:8080', 'front.test', 'FRONT.test.']) {
    t.equal((await send('GET /api/a/x', [`Host: ${host}`, user.cookieLine])).status, 200, host)
  }
})

t.test('a route of one host is that host’s in every spelling of it (B21)', async t => {
  for (const host of ['admin.test', 'ADMIN.test', 'admin.test:8080', 'admin.test.', 'Admin.Test.:80']) {
    refused(t, await send('GET /hosted/x', [`Host: ${host}`, user.cookieLine]), 403, 'INSUFFICIENT_ROLE', host)
    t.equal((await send('GET /hosted/x', [`Host: ${host}`, admin.cookieLine])).status, 200, host)
  }
  for (const claim of ['X-Forwarded-Host', 'Forwarded: host=admin.test;', 'X-Host', 'X-Original-Host']) {
    const line = claim.includes(':') ? claim : `${claim}: other.test`
    const outcome = await send('GET /hosted/x', ['Host: admin.test', line, user.cookieLine])
    refused(t, outcome, 403, 'INSUFFICIENT_ROLE', claim)
  }
})

t.test('an absolute target is taken when it names us, and judged like any other (A14)', async t => {
  const ours = `http://localhost:${gateway.port}`
  refused(t, await send(`GET ${ours}/api/a/x`), 401, 'AUTHENTICATION_REQUIRED')
  refused(t, await send(`GET ${ours}/api/a/admin`, [user.cookieLine]), 403, 'INSUFFICIENT_ROLE')
  refused(t, await send(`GET ${ours}`), 404, 'ROUTE_NOT_FOUND')
  const { status, reached } = await send(`GET ${ours}/api/a/x?y=1`, [user.cookieLine])
  t.equal(status, 200)
  t.strictSame(
    reached.map(({ url }) => url),
    ['/api/a/x?y=1']
  )

  const foreign = [
    'http://evil.test/api/a/x',
    'http://evil.test/public/x',
    `http://localhost:${gateway.port}@evil.test/public/x`,
    `http://evil.test@localhost:${gateway.port}/public/x`,
    `${ours}/api/a/../b`,
    `${ours}/api/a/%zz`,
    `${ours}/public/x#y`,
    `ftp://localhost:${gateway.port}/public/x`,
    'http:///public/x',
    'http:/public/x'
  ]
  for (const target of foreign) {
    const outcome = await send(`GET ${target}`, [user.cookieLine])
    t.ok(['BAD_PATH', 'BAD_REQUEST'].includes(outcome.code ?? ''), `${target}: ${outcome.code}`)
    refused(t, outcome, 400, outcome.code ?? '', target)
  }
  const split = await send('GET http://evil.test/public/x', ['Host: evil.test'])
  refused(t, split, 400, 'BAD_PATH', 'Host and target agree on somebody else')
})

t.test('headers that tell of another target or method decide nothing and end here (A21, A22)', async t => {
  const claims = [
    'X-Original-URL: /public/x',
    'X-Rewrite-URL: /public/x',
    'X-Forwarded-Uri: /public/x',
    'X-Original-URI: /public/x',
    'X-Envoy-Original-Path: /public/x',
    'X-Forwarded-Prefix: /public',
    'X-Forwarded-Method: OPTIONS',
    'X-Original-Method: OPTIONS',
    'X-HTTP-Method-Override: DELETE',
    'X-HTTP-Method: DELETE',
    'X-Method-Override: DELETE',
    'X_HTTP_METHOD_OVERRIDE: DELETE'
  ]
  for (const claim of claims) {
    const [name = ''] = claim.split(':')
    refused(t, await send('GET /api/a/x', [claim]), 401, 'AUTHENTICATION_REQUIRED', claim)
    refused(t, await send('POST /read/x', [claim, 'Content-Length: 0']), 405, 'METHOD_NOT_ALLOWED', claim)

    const { reached } = await send('GET /api/a/x?_method=DELETE', [claim, user.cookieLine])
    t.match(reached, [{ method: 'GET', url: '/api/a/x?_method=DELETE' }], claim)
    t.strictSame(
      reached.flatMap(request => valuesOf(request, name)),
      [],
      claim
    )
  }
})

t.test('a browser without a session is sent to our own portal, wherever it wanted to go', async t => {
  const wishes = ['/page/x', '/page/x?y=//evil.test', '/page/https:/evil.test', '/page/@evil.test']
  for (const wish of wishes) {
    for (const lines of [[], ['X-Forwarded-Host: evil.test', 'X-Original-URL: //evil.test']]) {
      const { status, answer, reached } = await send(`GET ${wish}`, ['Accept: text/html', ...lines])
      t.equal(status, 302, wish)
      t.equal(answer.header('location'), `/.gateway/?returnTo=${encodeURIComponent(wish)}`, wish)
      t.equal(answer.header('cache-control'), 'no-store', wish)
      t.strictSame(reached, [], wish)
    }
  }
  refused(t, await send('POST /page/x', ['Accept: text/html']), 401, 'AUTHENTICATION_REQUIRED')
  refused(t, await send('GET /page/x', ['Accept: application/json']), 401, 'AUTHENTICATION_REQUIRED')
})

t.test('no visitor is let in for what it calls itself (A24)', async t => {
  for (const agent of ['GoogleHC/1.0', 'kube-probe/1.30', 'ELB-HealthChecker/2.0', 'Prometheus/2.0']) {
    refused(t, await send('GET /api/a/x', [`User-Agent: ${agent}`]), 401, 'AUTHENTICATION_REQUIRED', agent)
  }
})

t.test('methods: OPTIONS *, TRACE and CONNECT are nobody’s, a 405 says what would do (A23)', async t => {
  for (const lines of [[], ['Origin: http://localhost:3000'], [user.cookieLine]]) {
    refused(t, await send('OPTIONS *', lines), 400, 'BAD_PATH')
  }
  refused(t, await send('TRACE /public/x', [user.cookieLine]), 404, 'ROUTE_NOT_FOUND')
  refused(t, await sendBytes('CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n'), 400, 'BAD_REQUEST')
  refused(t, await send('BREW /public/x'), 400, 'BAD_REQUEST')
  refused(t, await send('get /public/x'), 400, 'BAD_REQUEST')

  const wrong = await send('DELETE /read/x')
  refused(t, wrong, 405, 'METHOD_NOT_ALLOWED')
  t.equal(wrong.answer.header('allow'), 'GET, HEAD')
})

t.test('too many header lines, or too long ones, are a 431, and none is dropped in silence (B29)', async t => {
  const [some, many] = [400, 2500].map(count => Array<string>(count).fill('X: y')) as [string[], string[]]
  t.equal((await send('GET /api/a/x', [...some, user.cookieLine])).status, 200)
  refused(t, await send('GET /api/a/x', [...many, user.cookieLine]), 431, 'BAD_REQUEST', '2,500 lines')
  const long = await send('GET /api/a/x', [`X: ${'y'.repeat(20_000)}`, user.cookieLine])
  refused(t, long, 431, 'BAD_REQUEST', 'one of 20 KB')
  const cookie = await send('GET /api/a/x', [`${user.cookieLine}; ${'y'.repeat(17_000)}`])
  refused(t, cookie, 431, 'BAD_REQUEST', 'a cookie of 17 KB')
})

t.test('control bytes in a value are refused, bytes above 0x7f pass as they are (B25)', async t => {
  for (const byte of ['\x00', '\x01', '\x0b', '\x1b', '\x7f', '\n', '\r']) {
    const outcome = await send('GET /api/a/x', [`X-Note: a${byte}b`, user.cookieLine])
    refused(t, outcome, 400, 'BAD_REQUEST', JSON.stringify(byte))
  }
  const { reached } = await send('GET /api/a/x', ['X-Note: caf\xe9 \x80\xff', user.cookieLine])
  t.strictSame(
    reached.flatMap(request => valuesOf(request, 'X-Note')),
    ['caf\xe9 \x80\xff']
  )
})

t.test('other protocols on the port are a 400, and nothing hangs (G32)', async t => {
  const greetings = [
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'SSH-2.0-OpenSSH_9.6\r\n',
    'GET /public/x\r\n\r\n',
    'GET /public/x HTTP/0.9\r\nHost: gw.test\r\n\r\n',
    'GET /public/x HTTP/2.0\r\nHost: gw.test\r\n\r\n',
    'GET /public/x HTTP/1.2\r\nHost: gw.test\r\n\r\n',
    'GET /public/x HTTP/11\r\nHost: gw.test\r\n\r\n',
    'GET /public/x http/1.1\r\nHost: gw.test\r\n\r\n'
  ]
  for (const bytes of greetings) refused(t, await sendBytes(bytes), 400, 'BAD_REQUEST', JSON.stringify(bytes))

  const old = await RawConnection.open(gateway.port)
  void old.send(`GET /api/a/x HTTP/1.0\r\n${user.cookieLine}\r\n\r\n`)
  t.equal((await old.answer()).status, 200)
  t.equal(await old.closed(), 'end', 'HTTP/1.0 ends with its answer')
})
