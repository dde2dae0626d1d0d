/** What a client writes into its headers, as raw bytes, and what of it an upstream gets to see. */
import t from 'tap'
import { aSession } from '../support/sessions.js'
import { type ProxyOptions, startProxy } from '../support/proxy.js'
import { exchange, type RawAnswer } from '../support/raw-http.js'
import { type EchoedRequest, startUpstream } from '../support/upstream.js'

type Scope = { teardown: (fn: () => unknown) => unknown }

async function setUp(t: Scope, options: ProxyOptions = {}) {
  const upstream = await startUpstream(t)
  const proxy = await startProxy(t, upstream.origin, options)
  return {
    upstream,
    proxy,
    /** Sends a request with these header lines and reads the upstream's echo. */
    ask: async (lines: readonly string[], requestLine = 'GET /x HTTP/1.1', body = '') => {
      const [answer] = await exchange(proxy.port, [requestLine, 'Host: gw.test', ...lines, '', body].join('\r\n'))
      return echoOf(answer)
    }
  }
}

function echoOf(answer: RawAnswer) {
  const echo: EchoedRequest = JSON.parse(answer.body.toString())
  const all = (name: string) =>
    echo.rawHeaders.filter((_, i) => i % 2 === 1 && normalised(echo.rawHeaders[i - 1] ?? '') === normalised(name))
  return { ...echo, status: answer.status, all, text: echo.rawHeaders.join('\n') }
}

/** As a server behind CGI or WSGI sees a name. */
function normalised(name: string): string {
  return name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')
}

t.test('X-User-ID of the client never reaches the upstream, whatever its spelling (B01, B02, B03)', async t => {
  const { ask } = await setUp(t, { session: aSession() })
  const spellings = ['X-User-ID', 'x-user-id', 'X_User_ID', 'X_USER_ID', 'x_user-id', 'X.User.ID', "X'User'ID"]

  for (const name of spellings) t.strictSame((await ask([`${name}: evil`])).all('X-User-ID'), ['ada'], name)
})

t.test('an anonymous request to a public route is no tunnel for identity headers (B04)', async t => {
  const { ask } = await setUp(t)
  const names = [
    'X-User-Email',
    'X-User-Role',
    'X-Session-ID',
    'X-Gateway-Token',
    'X-Internal-Key',
    'X_Organization.ID'
  ]

  const echo = await ask(names.map(name => `${name}: evil`))

  t.notMatch(echo.text, /evil/)
})

t.test('Connection cannot strip what the gateway adds (B06, CVE-2026-33805)', async t => {
  const { ask } = await setUp(t, { session: aSession(), upstream: { internalKey: 'internal' } })

  const echo = await ask(['Connection: x-user-id, authorization, x-request-id, x-forwarded-for, x-session-id'])

  for (const name of ['X-User-ID', 'X-Session-ID', 'X-Request-ID', 'X-Forwarded-For'])
    t.equal(echo.all(name).length, 1, name)
  t.strictSame(echo.all('Authorization'), ['Bearer internal'])
})

t.test('Connection cannot break the framing or the host of a request (B08)', async t => {
  const { ask, upstream } = await setUp(t)
  const lines = ['Connection: cookie, content-length, host', 'Cookie: theme=dark', 'Content-Length: 3']

  const echo = await ask(lines, 'POST /x HTTP/1.1', 'abc')

  t.match(echo, { status: 200, bodyLength: 3 })
  t.strictSame(echo.all('Content-Length'), ['3'])
  t.strictSame(echo.all('Cookie'), ['theme=dark'])
  t.strictSame(echo.all('Host'), [new URL(upstream.origin).host])
})

t.test('hop-by-hop headers end at the gateway (B09, G35)', async t => {
  const { ask } = await setUp(t)

  const echo = await ask([
    'Connection: Upgrade, HTTP2-Settings, X-Mine',
    'Upgrade: h2c',
    'HTTP2-Settings: AAMAAABkAAQAAP__',
    'X-Mine: evil',
    'Keep-Alive: timeout=99',
    'Proxy-Connection: keep-alive',
    'Proxy-Authorization: Basic ZXZpbA==',
    'TE: gzip, trailers',
    'Trailer: X-Evil'
  ])

  t.equal(echo.status, 200)
  t.strictSame(echo.all('Connection'), ['keep-alive'], 'the gateway’s own')
  for (const name of ['Upgrade', 'HTTP2-Settings', 'X-Mine', 'Keep-Alive', 'Proxy-Connection', 'TE', 'Trailer']) {
    t.strictSame(echo.all(name), [], name)
  }
  t.strictSame(echo.all('Proxy-Authorization'), [])
})

t.test('a method or a path in a header changes nothing (A21, A22)', async t => {
  const { ask } = await setUp(t)

  const echo = await ask(['X-HTTP-Method-Override: DELETE', 'X-Original-URL: /admin', 'X-Rewrite-URL: /admin'])

  t.match(echo, { method: 'GET', url: '/x' })
  t.notMatch(echo.text, /DELETE|admin/)
})

t.test('an upstream learns the socket’s address from us alone (B13)', async t => {
  const { ask } = await setUp(t)

  const echo = await ask([
    'X-Forwarded-For: 6.6.6.6',
    'Forwarded: for=6.6.6.6',
    'X-Real-IP: 6.6.6.6',
    'X_Real_IP: 6.6.6.6'
  ])

  t.strictSame(echo.all('X-Forwarded-For'), ['192.0.2.7'])
  t.strictSame(echo.all('X-Forwarded-Host'), ['gw.test'])
  t.notMatch(echo.text, /6\.6\.6\.6/)
})

t.test('the session token never leaves the gateway (B20)', async t => {
  const { ask } = await setUp(t, { facts: { dropAuthorization: true } })

  const echo = await ask([
    'Cookie: better-auth.session_token=secret.sig; theme=dark; __Secure-better-auth.session_data.0=secret',
    'Cookie: better-auth.dont_remember=secret',
    'Authorization: Bearer secret.sig'
  ])

  t.strictSame(echo.all('Cookie'), ['theme=dark'])
  t.notMatch(echo.text, /secret/)
})

t.test('bytes above 0x7f in a value pass as the bytes they are (B25)', async t => {
  const { ask } = await setUp(t)

  const echo = await ask(['X-Note: caf\xe9 \xff'])

  t.strictSame(echo.all('X-Note'), ['caf\xe9 \xff'])
})

t.test('a trailer never becomes a header (G05)', async t => {
  const { ask } = await setUp(t, { session: aSession() })

  const echo = await ask(['Transfer-Encoding: chunked'], 'POST /x HTTP/1.1', '3\r\nabc\r\n0\r\nX-User-Id: evil\r\n\r\n')

  t.match(echo, { status: 200, bodyLength: 3, trailers: [] })
  t.strictSame(echo.all('X-User-ID'), ['ada'])
})

t.test('what makes an answer negotiable passes unchanged (G28)', async t => {
  const { ask } = await setUp(t)
  const lines = ['Accept-Encoding: br;q=1.0, gzip', 'Range: bytes=0-3', 'If-None-Match: "a"', 'Accept: a/b']

  const echo = await ask(lines)

  for (const line of lines) {
    const [name = '', value] = line.split(': ')
    t.strictSame(echo.all(name), [value], name)
  }
})
