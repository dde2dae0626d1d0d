/**
 * One path, two readings: the gateway judges one, the upstream serves the other. Every way we know, through the whole
 * gateway.
 */
import t from 'tap'
import { refused, startAttack } from '../support/attack.js'
import { startUpstream } from '../support/upstream.js'

const { gateway: first, send, user, admin } = await startAttack(t)

t.test('what was judged is sent, byte for byte (A01)', async t => {
  const targets = [
    ['/api/a/x', '/api/a/x'],
    ['/api/a', '/api/a'],
    ['/api/a/', '/api/a/'],
    ['/api/a/x?a=1&b=%2f..%2f', '/api/a/x?a=1&b=%2f..%2f'],
    ['/api/a/%7Euser/%c3%a9', '/api/a/~user/%C3%A9'],
    ['/api/a/a:b@c,d+e!$&()*=', '/api/a/a:b@c,d+e!$&()*='],
    ['/api/b/x', '/b/x'],
    ['/api/b', '/b']
  ] as const
  for (const [asked, expected] of targets) {
    const { status, reached } = await send(`GET ${asked}`, [user.cookieLine])

    t.equal(status, 200, asked)
    t.strictSame(
      reached.map(({ url }) => url),
      [expected],
      asked
    )
  }
})

t.test('a path with two readings is refused, and its words are not repeated', async t => {
  const ambiguous = {
    A02: [
      '/api/a/../b/x',
      '/api/a/..',
      '/api/a/.',
      '/api/a/./x',
      '/api/a/x/..',
      '/..',
      '/api/a/%2e%2e/b',
      '/api/a/.%2E/b'
    ],
    A05: ['/api/a/..\\b', '/api/a/%5c..%5cb', '/api/a\\x', '/api/a/%5Cx', '\\api\\a'],
    A09: ['//api/a/x', '/api//a/x', '///', '//localhost/api/a/x'],
    A10: ['/api/a//x', '/api/a/x//', '/api/a/%2fx', '/api/a/x%2F..%2F..%2Fadmin'],
    A12: ['/api/a%00', '/api/a%0a', '/api/a/%0d%0aX:%20y', '/api/a/%1f', '/api/a/%7f'],
    A13: ['/api/a/%zz', '/api/a/%', '/api/a/%2', '/api/a/%c0%ae%c0%ae/', '/api/a/%ff', '/api/a/%ed%a0%80', '/livez%zz'],
    A15: ['/api/a/admin#x', '/public#/../api/a', '/public/x#y', '/public/x?a#b', '#'],
    A18: [
      '/api/a/admin;x=1',
      '/api/a/;/admin',
      '/api/a/%3badmin',
      '/api/a/%2561dmin/..%252fx',
      '/api/a/%25%32%65%252e/x'
    ],
    A19: [
      '/api/auth/../a/x',
      '/api/auth/%2e%2e/a/x',
      '/api/auth//get-session',
      '/api/auth/%5c..%5ca',
      '/api/auth/get-session#x'
    ],
    A29: ['/api/a/"x"', '/api/a/<x>', '/api/a/x|y', '/api/a/{x}', '/api/a/^', '/api/a/`']
  }
  for (const [id, targets] of Object.entries(ambiguous)) {
    for (const target of targets) {
      const outcome = await send(`GET ${target}`, [admin.cookieLine])

      refused(t, outcome, 400, 'BAD_PATH', `${id} ${target}`)
    }
  }
})

t.test('bytes that no target may hold do not get past the parser (A29)', async t => {
  const bytes = ['\xc3\xa9', '\x80', '\xff', '\x00', '\x01', '\x7f', '\tx', 'x?q=\xc3\xa9']
  for (const byte of bytes) {
    refused(t, await send(`GET /api/a/${byte}`, [user.cookieLine]), 400, 'BAD_PATH', JSON.stringify(byte))
  }
  refused(t, await send('GET /api/a/x y', [user.cookieLine]), 400, 'BAD_REQUEST', 'a space ends the target')
})

t.test('a prefix ends at a slash and nowhere else, in its own case (A11, A12)', async t => {
  for (const target of [
    '/api/ax',
    '/api/a.evil',
    '/api/a-x/y',
    '/API/a/x',
    '/Api/A/x',
    '/api/A/x',
    '/api',
    '/',
    '/ap'
  ]) {
    for (const lines of [[], [admin.cookieLine]]) {
      refused(t, await send(`GET ${target}`, lines), 404, 'ROUTE_NOT_FOUND', target)
    }
  }
})

t.test('no spelling of an admin path lets a user in (A18, CVE-2026-73511)', async t => {
  const readings = [
    'admin',
    'admin/',
    'Admin',
    'ADMIN/x',
    'admin%20',
    'admin.json',
    '%61dmin',
    'admi%6E/x',
    'admin%20/x',
    'ａdmin',
    'admin%3Fx',
    'admin%23x'
  ]
  for (const reading of readings) {
    const path = `/api/a/${encodeURI(reading).replaceAll('%25', '%')}`
    refused(t, await send(`GET ${path}`, [user.cookieLine]), 403, 'INSUFFICIENT_ROLE', path)
    t.equal((await send(`GET ${path}`, [admin.cookieLine])).status, 200, path)
  }
  for (const harmless of ['administrator', 'admin-x', 'xadmin', 'x/admin']) {
    t.equal((await send(`GET /api/a/${harmless}`, [user.cookieLine])).status, 200, harmless)
  }
})

t.test('what Better Auth does not know is nobody else’s either (A20)', async t => {
  for (const target of [
    '/api/auth/unknown-endpoint',
    '/api/auth',
    '/api/auth/',
    '/api/authx',
    '/API/auth/get-session'
  ]) {
    refused(t, await send(`GET ${target}`, [user.cookieLine]), 404, 'ROUTE_NOT_FOUND', target)
  }
})

t.test('two upstreams whose addresses and paths run together are told apart (A26, CVE-2026-16158)', async t => {
  const other = await startUpstream(t)
  const { send, user, gateway } = await startAttack(t, {
    postgres: first.postgres,
    yaml: `
upstreams:
  one: { targets: [$UPSTREAM] }
  two: { targets: ["${other.origin}"] }
routes:
  - { name: one, path: /one/*, upstream: one, stripPrefix: /one, access: session }
  - { name: two, path: /two/*, upstream: two, stripPrefix: /two, access: session }
`
  })
  for (let i = 0; i < 100; i++) await send(`GET /${i % 2 ? 'one' : 'two'}/1/private/${i}`, [user.cookieLine])

  t.equal(gateway.upstream.received.length, 50)
  t.equal(other.received.length, 50)
  t.ok(gateway.upstream.received.every(({ url }) => Number(url.split('/').at(-1)) % 2 === 1))
  t.ok(other.received.every(({ url }) => Number(url.split('/').at(-1)) % 2 === 0))
})

t.test('long paths are read at once or refused at once (A28)', async t => {
  const cases: [string, string, number, string?][] = [
    ['8,000 bytes', `/api/a/${'x'.repeat(7993)}`, 200],
    ['4,000 segments', `/api/a${'/a'.repeat(4000)}`, 200],
    ['2,700 escapes', `/api/a/${'%41'.repeat(2700)}`, 200],
    ['9,000 bytes', `/api/a/${'x'.repeat(9000)}`, 400, 'BAD_PATH'],
    ['9,000 dots', `/api/a/${'.'.repeat(9000)}`, 400, 'BAD_PATH'],
    ['16 KiB', `/api/a/${'x'.repeat(16_384)}`, 431, 'BAD_REQUEST']
  ]
  for (const [name, target, status, code] of cases) {
    const outcome = await send(`GET ${target}`, [user.cookieLine])
    if (code === undefined) t.equal(outcome.status, status, name)
    else refused(t, outcome, status, code, name)
  }
})
