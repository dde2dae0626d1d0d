/**
 * An upstream believes what it reads in X-User-ID, so nobody but the gateway may write it. Through the whole gateway.
 */
import { createPublicKey, type JsonWebKey, verify } from 'node:crypto'
import t, { type Test } from 'tap'
import { type Outcome, person, refused, startAttack, valuesOf } from '../support/attack.js'
import { ROUTES } from '../support/gateway.js'
import { rawAnswerPath } from '../support/upstream.js'

const { gateway, send, user, admin } = await startAttack(t, {
  yaml: `${ROUTES}  - { name: open, path: /open/*, upstream: b, access: public }`
})
const behindProxy = await startAttack(t, {
  postgres: gateway.postgres,
  env: { TRUSTED_PROXIES: '127.0.0.1,10.0.0.0/8' }
})

/** Of the one request that reached the upstream. */
function seen(t: Test, { reached }: Outcome, name: string): string[] {
  t.equal(reached.length, 1, 'reached the upstream')
  return reached.flatMap(request => valuesOf(request, name))
}

function allOf({ reached }: Outcome): string {
  return reached.flatMap(({ rawHeaders }) => rawHeaders).join('\n')
}

t.test('X-User-ID is the session’s, whatever the client writes and however it spells it (B01, B02, B03)', async t => {
  const spellings = [
    'X-User-ID',
    'x-user-id',
    'X_User_ID',
    'X_USER_ID',
    'x_user-id',
    'X.User.ID',
    'X-User_ID',
    "X'User!ID"
  ]
  for (const name of spellings) {
    const outcome = await send('GET /api/a/x', [`${name}: ${admin.id}`, user.cookieLine, `${name}: ${admin.id}`])
    t.strictSame(seen(t, outcome, 'X-User-ID'), [user.id], name)
  }
})

const FORGED = [
  'X-User-ID',
  'X-User-Email',
  'X-User-Email-Verified',
  'X-User-Role',
  'X-User-Roles',
  'X-User-Anything',
  'X-Session-ID',
  'X-Session-Token',
  'X-Organization-ID',
  'X-Organization-Role',
  'X-Gateway-Assertion',
  'X-Gateway-Token',
  'X_Internal_Key',
  'X.Organization.Role',
  'X-Forwarded-User',
  'X-Forwarded-Email',
  'X-Forwarded-Groups'
]

t.test('no route is a tunnel for forged identity, signed in or not (B04)', async t => {
  const lines = FORGED.map(name => `${name}: forged`)
  for (const path of ['/public/x', '/optional/x', '/api/a/x', '/api/b/x']) {
    for (const credential of [[], [user.cookieLine]]) {
      const outcome = await send(`GET ${path}`, [...lines, ...credential])
      t.notMatch(allOf(outcome), /forged/, path)
      t.equal(outcome.reached.length, credential.length === 0 && path.startsWith('/api/') ? 0 : 1, path)
    }
  }
  const anonymous = await send('GET /optional/x', lines)
  t.notMatch(allOf(anonymous), /x-user-|x-session-|x-organization-/i, 'nobody has no identity at all')
})

t.test('a session says nothing on a public route', async t => {
  const outcome = await send('GET /public/x', [user.cookieLine])
  t.strictSame(seen(t, outcome, 'X-User-ID'), [])
  t.strictSame(seen(t, outcome, 'Cookie'), [])
})

t.test('Connection takes away nothing that the gateway adds (B06, CVE-2026-33805)', async t => {
  const listed = 'x-user-id, X-User-Email, x-user-roles, authorization, x-session-id, x-request-id, x-forwarded-for'
  const outcome = await send('GET /api/a/x', [`Connection: ${listed}`, 'Connection: x-user-email', user.cookieLine])

  t.strictSame(seen(t, outcome, 'X-User-ID'), [user.id])
  t.strictSame(seen(t, outcome, 'X-User-Email'), [user.email])
  t.strictSame(seen(t, outcome, 'X-User-Roles'), ['user'])
  t.strictSame(seen(t, outcome, 'Authorization'), ['Bearer the-internal-key'])
  t.strictSame(seen(t, outcome, 'X-Forwarded-For'), ['127.0.0.1'])
  t.equal(seen(t, outcome, 'X-Request-ID').length, 1)
})

t.test('hop-by-hop headers end at the gateway in both directions (B08, B09, B10)', async t => {
  const lines = ['Connection: Upgrade, HTTP2-Settings, X-Mine, cookie, host', 'Upgrade: h2c', 'HTTP2-Settings: AAMA']
  const more = ['X-Mine: 1', 'Keep-Alive: timeout=99', 'TE: gzip', 'Trailer: X-T', 'Proxy-Authorization: Basic eA==']
  const outcome = await send('GET /api/a/x', [...lines, ...more, `${user.cookieLine}; theme=dark`])
  t.equal(outcome.status, 200)
  for (const name of ['Upgrade', 'HTTP2-Settings', 'X-Mine', 'Keep-Alive', 'TE', 'Trailer', 'Proxy-Authorization']) {
    t.strictSame(seen(t, outcome, name), [], name)
  }
  t.strictSame(seen(t, outcome, 'Cookie'), ['theme=dark'])
  t.strictSame(seen(t, outcome, 'Host'), [new URL(gateway.upstream.origin).host])

  const answer = 'HTTP/1.1 200 OK\r\nConnection: X-Secret\r\nX-Secret: 1\r\nX-User-ID: x\r\nServer: nginx\r\n'
  const cookies = 'Set-Cookie: better-auth.session_token=fixed\r\nSet-Cookie: theme=dark\r\n'
  const path = rawAnswerPath(`${answer}${cookies}Content-Length: 2\r\n\r\nhi`, 'close')
  const back = await send(`GET /api/a/x${path}`, [user.cookieLine])
  t.equal(back.status, 200)
  for (const name of ['x-secret', 'x-user-id', 'server']) t.equal(back.answer.header(name), undefined, name)
  t.strictSame(back.answer.all('set-cookie'), ['theme=dark'], 'an upstream cannot fix a session (B11)')
})

t.test('hostile data of a user stays data: one header, one line, one role', async t => {
  const mallory = await person(gateway)
  const email = 'm\r\nX-User-Roles: admin\u2028@é%41'
  const role = 'user,a b%,ad\u006din\nX-Admin: 1'
  await gateway.sql`update auth."user" set email = ${email}, role = ${role} where id = ${mallory.id}`
  const outcome = await send('GET /api/b/x', [mallory.cookieLine])

  t.strictSame(seen(t, outcome, 'X-User-Email'), ['m%0D%0AX-User-Roles: admin%E2%80%A8@%C3%A9%2541'])
  t.strictSame(seen(t, outcome, 'X-User-Roles'), ['user,a b%25,admin%0AX-Admin: 1'])
  t.strictSame(seen(t, outcome, 'X-Admin'), [])
  refused(t, await send('GET /api/a/admin', [mallory.cookieLine]), 403, 'INSUFFICIENT_ROLE')
})

t.test('our credentials stay with us: cookie, bearer, in every line that carries them (B20)', async t => {
  const secret = user.bearer.slice(0, 32)
  const carriers = [
    [`Cookie: theme=dark; ${user.cookie}; lang=de`],
    ['Cookie: theme=dark', `cookie: ${user.cookie}`, 'Cookie: lang=de'],
    [`Cookie: ${user.cookie}; better-auth.session_data=${secret}; __Secure-better-auth.session_token=${secret}`],
    [`Authorization: Bearer ${user.bearer}`],
    [`Authorization: Bearer ${user.bearer}`, user.cookieLine],
    [user.cookieLine, 'Authorization: Basic eDp5', `Authorization: Bearer ${user.bearer}`]
  ]
  for (const path of ['/api/b/x', '/open/x', '/public/x', '/optional/x']) {
    for (const lines of carriers) {
      const outcome = await send(`GET ${path}`, lines)
      t.notMatch(allOf(outcome), secret, `${path} ${lines.join(' | ')}`)
    }
  }
  const basic = await send('GET /open/x', ['Authorization: Basic eDp5'])
  t.strictSame(seen(t, basic, 'Authorization'), ['Basic eDp5'], 'what is the upstream’s passes')
})

t.test(
  'from an untrusted address no word about the client’s address, host or scheme is believed (B13, B15)',
  async t => {
    const claims = [
      'X-Forwarded-For: 6.6.6.6',
      'Forwarded: for=6.6.6.6;host=evil.test;proto=https',
      'X-Real-IP: 6.6.6.6'
    ]
    const more = [
      'X-Forwarded-Host: evil.test',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Port: evil',
      'True-Client-IP: 6.6.6.6'
    ]
    const other = ['X_Forwarded_For: 6.6.6.6', 'X-Client-IP: 6.6.6.6', 'X-Request-ID: evil-request-id']
    const outcome = await send('GET /api/a/x', [...claims, ...more, ...other, user.cookieLine])

    t.notMatch(allOf(outcome), /6\.6\.6\.6|evil/)
    t.strictSame(seen(t, outcome, 'X-Forwarded-For'), ['127.0.0.1'])
    t.strictSame(seen(t, outcome, 'X-Forwarded-Proto'), ['http'])
    t.strictSame(seen(t, outcome, 'X-Forwarded-Host'), [`localhost:${gateway.port}`])
    t.equal(gateway.log.findLast(line => line['path'] === '/api/a/x')?.['ip'], '127.0.0.1')
  }
)

t.test('behind a trusted proxy the client is the right-most hop that is not ours (B14, B16)', async t => {
  const { gateway, send, user } = behindProxy
  const chains = [
    ['6.6.6.6, 9.9.9.9', '9.9.9.9'],
    ['9.9.9.9, 10.1.2.3', '9.9.9.9'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['1.2.3.4:80', '1.2.3.4'],
    ['[2001:db8::1]:80', '2001:db8::1'],
    ['x', '127.0.0.1', ''],
    ['unknown', '127.0.0.1', ''],
    ['6.6.6.6, x', '127.0.0.1', ''],
    ["6.6.6.6, ' or 1=1 --, 9.9.9.9", '9.9.9.9', '9.9.9.9'],
    ['', '127.0.0.1']
  ] as const
  for (const [chain, client, believed = chain] of chains) {
    const outcome = await send('GET /api/a/x', [`X-Forwarded-For: ${chain}`, user.cookieLine])
    t.equal(gateway.log.findLast(line => line['path'] === '/api/a/x')?.['ip'], client, chain)
    t.strictSame(seen(t, outcome, 'X-Forwarded-For'), [believed === '' ? '127.0.0.1' : `${believed}, 127.0.0.1`], chain)
  }
  const long = Array<string>(51).fill('9.9.9.9').join(', ')
  refused(t, await send('GET /api/a/x', [`X-Forwarded-For: ${long}`, user.cookieLine]), 400, 'BAD_REQUEST')

  const told = await send('GET /api/a/x', ['X-Forwarded-Host: app.test', 'X-Forwarded-Proto: https', user.cookieLine])
  t.strictSame(seen(t, told, 'X-Forwarded-Host'), ['app.test'])
  t.strictSame(seen(t, told, 'X-Forwarded-Proto'), ['https'])
  for (const claim of ['a b', '<script>', 'evil.test, app.test', 'evil.test/x', 'user@evil.test', '']) {
    const garbled = await send('GET /api/a/x', [
      `X-Forwarded-Host: ${claim}`,
      'X-Forwarded-Proto: gopher',
      user.cookieLine
    ])
    t.strictSame(seen(t, garbled, 'X-Forwarded-Host'), [`localhost:${gateway.port}`], claim)
    t.strictSame(seen(t, garbled, 'X-Forwarded-Proto'), ['http'], claim)
  }
  const forged = await send(
    'GET /public/x',
    FORGED.map(name => `${name}: forged`)
  )
  t.notMatch(allOf(forged), /forged/, 'nobody’s word counts for identity')
})

t.test('a trace goes on from a trusted proxy only, and only when it is one (B23)', async t => {
  const [trace, parent] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331']
  const valid = `traceparent: 00-${trace}-${parent}-01`
  const traced = await behindProxy.send('GET /public/x', [valid, 'tracestate: a=1'])
  t.match(seen(t, traced, 'traceparent'), [new RegExp(`^00-${trace}-(?!${parent})[0-9a-f]{16}-01$`)])
  t.strictSame(seen(t, traced, 'tracestate'), ['a=1'])

  const others = [
    [`traceparent: 00-${trace}-${parent}`],
    [`traceparent: ff-${trace}-${parent}-01`],
    [`traceparent: 00-${'0'.repeat(32)}-${parent}-01`],
    [`traceparent: 00-${trace.toUpperCase()}-${parent}-01`],
    [valid, valid]
  ]
  for (const lines of others) {
    const outcome = await behindProxy.send('GET /public/x', [...lines, 'tracestate: a=1'])
    t.match(seen(t, outcome, 'traceparent'), [/^00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-01$/])
    t.notMatch(allOf(outcome), trace, lines.join())
    t.strictSame(seen(t, outcome, 'tracestate'), [], lines.join())
  }
  t.notMatch(
    allOf(await send('GET /public/x', [valid, 'tracestate: a=1'])),
    trace,
    'an untrusted client starts no trace'
  )
})

t.test('the assertion is for one upstream, for a minute, and no login here (B30, ASVS 9.2.4)', async t => {
  const [assertion = ''] = seen(t, await send('GET /api/b/x', [user.cookieLine]), 'X-Gateway-Assertion')
  const [head = '', body = '', signature = ''] = assertion.split('.')
  const [header, claims] = [head, body].map(part => JSON.parse(Buffer.from(part, 'base64url').toString()))
  const jwks = (await (await fetch(`${gateway.origin}/.well-known/jwks.json`)).json()) as { keys: { kid: string }[] }
  const key = jwks.keys.find(({ kid }) => kid === header.kid)

  t.match(header, { alg: 'EdDSA', kid: /./ })
  t.match(claims, { iss: gateway.origin, aud: 'b', sub: user.id, sid: /./, roles: ['user'], jti: /./ })
  t.ok(claims.exp - claims.iat <= 60, `${claims.exp - claims.iat} s`)
  const publicKey = createPublicKey({ key: key as JsonWebKey, format: 'jwk' })
  t.ok(verify(null, Buffer.from(`${head}.${body}`), publicKey, Buffer.from(signature, 'base64url')))
  t.notOk('d' in (key ?? {}), 'no private part is published')

  const stolen = [
    `Authorization: Bearer ${assertion}`,
    'Authorization: Bearer the-internal-key',
    `Cookie: better-auth.session_token=${assertion}`,
    `X-Gateway-Assertion: ${assertion}`
  ]
  for (const line of stolen) {
    const code = line.startsWith('X-') ? 'AUTHENTICATION_REQUIRED' : 'INVALID_SESSION'
    refused(t, await send('GET /api/a/x', [line]), 401, code, line.split(' ')[0])
  }
  t.strictSame(seen(t, await send('GET /api/a/x', [user.cookieLine]), 'X-Gateway-Assertion'), [], 'a has no audience')
})
