import t from 'tap'
import { type AnswerPolicy, answerHead, hasNoContent } from '../../../src/upstream/response-headers.js'
import { SessionCookies } from '../../../src/upstream/session-cookies.js'

const policy: AnswerPolicy = {
  added: ['X-Request-ID', 'request-1'],
  authenticated: false,
  carriesCredential: false,
  ownsCors: false,
  sessionCookies: new SessionCookies('better-auth.session_token'),
  ownAuthorities: new Set(['orders:8000']),
  stripPrefix: '/api',
  routePath: '/api/orders/*'
}

/** The upstream's headers that reach the client. */
function passed(flat: string[], overrides: Partial<AnswerPolicy> = {}, status = 200): string[] {
  const { headers } = answerHead(status, flat, { ...policy, ...overrides, added: [] })
  return headers
}

t.test('ordinary headers pass unchanged, obs-text bytes too (B25, G28)', async t => {
  const ordinary = [
    'Content-Type',
    'text/plain',
    'ETag',
    '"\xe9"',
    'Vary',
    'Accept',
    'Set-Cookie',
    'a=1',
    'set-cookie',
    'b=2'
  ]

  t.strictSame(passed(ordinary), ordinary)
})

t.test('the gateway’s own headers come last, and its request id is the only one', async t => {
  const { headers } = answerHead(200, ['X-Request-Id', 'theirs', 'A', '1'], policy)

  t.strictSame(headers, ['A', '1', 'X-Request-ID', 'request-1'])
})

t.test('hop-by-hop headers and what Connection lists end here (B10)', async t => {
  const hop = [
    'Connection',
    'X-Secret, close',
    'X-Secret',
    '1',
    'Keep-Alive',
    'timeout=99',
    'Proxy-Authenticate',
    'Basic'
  ]

  t.strictSame(passed([...hop, 'Transfer-Encoding', 'chunked', 'Trailer', 'x', 'Upgrade', 'h2c', 'A', '1']), ['A', '1'])
})

t.test('Connection in an answer cannot take away its framing or what the gateway adds', async t => {
  const sent = ['Connection', 'content-length, x-request-id', 'Content-Length', '3']

  t.strictSame(answerHead(200, sent, policy).headers, ['Content-Length', '3', 'X-Request-ID', 'request-1'])
})

t.test('an upstream cannot set a session cookie, in any prefix form (B11)', async t => {
  for (const name of [
    'better-auth.session_token',
    '__Secure-better-auth.session_token',
    '__Host-Better-Auth.session_data.0'
  ]) {
    t.strictSame(
      passed(['Set-Cookie', `${name}=evil; Path=/`, 'Set-Cookie', 'theme=dark']),
      ['Set-Cookie', 'theme=dark'],
      name
    )
  }
  t.strictSame(
    passed(['Set-Cookie', 'better-auth.session_token=x'], { sessionCookies: null }),
    ['Set-Cookie', 'better-auth.session_token=x'],
    'a route to Better Auth itself may'
  )
})

t.test('identity, internals and product names stay inside (B12, J09)', async t => {
  const names = [
    'X-User-ID',
    'x_user_id',
    'X-Session-ID',
    'X-Organization-ID',
    'X-Gateway-Assertion',
    'X-Internal-Node',
    'Server'
  ]
  for (const name of [...names, 'X-Powered-By', 'X-AspNet-Version']) t.strictSame(passed([name, 'x']), [], name)
})

t.test('Access-Control-* of the upstream goes when the gateway speaks for CORS, and only then (E12)', async t => {
  const cors = ['Access-Control-Allow-Origin', '*', 'access-control-allow-credentials', 'true']

  t.strictSame(passed(cors, { ownsCors: true }), [])
  t.strictSame(passed(cors, { ownsCors: false }), cors)
})

t.test('an answer to a signed-in caller is kept out of shared caches unless the upstream decided (G29)', async t => {
  const silent = passed(['A', '1'], { authenticated: true })
  const outspoken = ['Cache-Control', 'public, max-age=60']

  t.strictSame(silent, ['A', '1', 'cache-control', 'private', 'vary', 'Cookie, Authorization'])
  t.strictSame(passed(outspoken, { authenticated: true }), outspoken)
  t.strictSame(passed(['A', '1'], { authenticated: false }), ['A', '1'])
})

t.test('Location speaks of the public path, in every line and spelling of its name', async t => {
  t.strictSame(passed(['Location', 'http://orders:8000/orders/7', 'location', '/orders/8'], {}, 302), [
    'Location',
    '/api/orders/7',
    'location',
    '/api/orders/8'
  ])
})

t.test('204 has no Content-Length and 205 says zero, whatever the upstream said (G27)', async t => {
  t.strictSame(passed(['Content-Length', '5'], {}, 204), [])
  t.strictSame(passed(['Content-Length', '5'], {}, 205), ['content-length', '0'])
  t.strictSame(passed(['Content-Length', '5'], {}, 304), ['Content-Length', '5'], 'what a 200 would have had')
})

t.test('the announced length is known', async t => {
  t.equal(answerHead(200, ['content-length', '17'], policy).contentLength, 17)
  t.equal(answerHead(200, [], policy).contentLength, -1)
})

t.test('answers without content are known by method and status', async t => {
  t.ok(hasNoContent('HEAD', 200))
  for (const status of [204, 205, 304]) t.ok(hasNoContent('GET', status), String(status))
  for (const status of [200, 206, 404, 500]) t.notOk(hasNoContent('GET', status), String(status))
})

t.test('an answer that brings a cookie is kept by no cache, whatever the upstream says', async t => {
  const upstreams = ['Cache-Control', 'public, max-age=60', 'CDN-Cache-Control', 'max-age=60', 'Surrogate-Control', 'x']

  t.strictSame(passed(upstreams, { carriesCredential: true, authenticated: true }), ['cache-control', 'no-store'])
  t.strictSame(passed([], { carriesCredential: true, authenticated: true }), ['cache-control', 'no-store'])
  t.strictSame(passed(upstreams, { authenticated: true }), upstreams)
})
