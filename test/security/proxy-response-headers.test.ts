/** What an upstream writes into its answer, as raw bytes, and what of it a client gets to see. */
import t from 'tap'
import { type ProxyOptions, startProxy } from '../support/proxy.js'
import { exchange, RawConnection } from '../support/raw-http.js'
import { aSession } from '../support/sessions.js'
import { rawAnswerPath, startUpstream } from '../support/upstream.js'

type Scope = { teardown: (fn: () => unknown) => unknown }

async function setUp(t: Scope, options: ProxyOptions = {}) {
  const upstream = await startUpstream(t)
  const proxy = await startProxy(t, upstream.origin, options)
  return {
    upstream,
    proxy,
    /** The gateway's answer when the upstream's is exactly these bytes. */
    answerTo: async (bytes: string, method = 'GET') => {
      const [answer] = await exchange(
        proxy.port,
        `${method} ${rawAnswerPath(bytes)} HTTP/1.1\r\nHost: gw.test\r\n\r\n`,
        [method]
      )
      return answer
    }
  }
}

function answer(lines: readonly string[], body = 'hi', status = '200 OK'): string {
  return [`HTTP/1.1 ${status}`, ...lines, `Content-Length: ${body.length}`, '', body].join('\r\n')
}

t.test('hop-by-hop headers and what Connection lists stay between us and the upstream (B10)', async t => {
  const { answerTo } = await setUp(t)

  const seen = await answerTo(
    answer(['Connection: X-Secret, keep-alive', 'X-Secret: 1', 'Keep-Alive: timeout=99', 'Proxy-Authenticate: Basic'])
  )

  t.equal(seen.body.toString(), 'hi')
  t.equal(seen.header('x-secret'), undefined)
  t.equal(seen.header('proxy-authenticate'), undefined)
  t.notMatch(seen.header('keep-alive'), /99/)
})

t.test('an upstream cannot fix a session (B11)', async t => {
  const { answerTo } = await setUp(t)

  const seen = await answerTo(
    answer([
      'Set-Cookie: better-auth.session_token=evil; Path=/',
      'Set-Cookie: theme=dark',
      'set-cookie: __Secure-better-auth.session_token=evil; Secure',
      'SET-COOKIE: __Host-better-auth.session_data.0=evil; Secure',
      'Set-Cookie: =better-auth.session_token=evil'
    ])
  )

  t.strictSame(seen.all('set-cookie'), ['theme=dark'])
})

t.test('identity, internals and product names do not leak (B12, J09)', async t => {
  const { answerTo } = await setUp(t)

  const seen = await answerTo(
    answer([
      'X-User-ID: ada',
      'X_Internal_Node: db-7',
      'Server: nginx/1.25',
      'X-Powered-By: Express',
      'X-Request-ID: theirs'
    ])
  )

  t.notMatch(seen.rawHeaders.join('\n'), /ada|db-7|nginx|Express|theirs/)
  t.strictSame(seen.all('x-request-id'), ['request-1'])
})

t.test('an interim answer is not taken for the answer (G25)', async t => {
  const { answerTo } = await setUp(t)
  const interims = [
    'HTTP/1.1 100 Continue\r\n\r\n',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\nX-A: b\r\n\r\n',
    'HTTP/1.1 102 Processing\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'
  ]
  for (const interim of interims) {
    const seen = await answerTo(interim + answer([]))
    t.match({ status: seen.status, body: seen.body.toString() }, { status: 200, body: 'hi' }, interim)
  }
})

t.test('a 100 (Continue) in a packet of its own is skipped too, also on a connection used before (G25)', async t => {
  const { upstream, proxy } = await setUp(t)
  upstream.respond = (request, response) => {
    request.resume()
    response.socket?.write('HTTP/1.1 100 Continue\r\n\r\n', () => setImmediate(() => response.end('hi')))
  }
  for (const round of ['first', 'second']) {
    const [seen] = await exchange(proxy.port, 'GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n')
    t.match({ status: seen.status, body: seen.body.toString() }, { status: 200, body: 'hi' }, round)
  }
  t.equal(upstream.connections.total, 1)
})

t.test('a protocol switch nobody asked for is a bad answer (G25)', async t => {
  const { answerTo } = await setUp(t)

  t.equal((await answerTo('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')).status, 502)
  t.equal((await answerTo('HTTP/1.1 101 Switching Protocols\r\n\r\n')).status, 502)
})

t.test('an answer without content has none, and the next answer is read right (G27)', async t => {
  const { proxy } = await setUp(t)
  const chunked = 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'
  const cases: [string, string, string | undefined][] = [
    ['GET', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello', undefined],
    ['GET', `HTTP/1.1 204 No Content\r\n${chunked}`, undefined],
    ['GET', 'HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello', '0'],
    ['GET', `HTTP/1.1 205 Reset Content\r\n${chunked}`, '0'],
    ['GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', '5'],
    ['GET', `HTTP/1.1 304 Not Modified\r\n${chunked}`, undefined],
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', '5']
  ]
  for (const [method, bytes, length] of cases) {
    const connection = await RawConnection.open(proxy.port)
    t.teardown(() => connection.destroy())
    void connection.send(`${method} ${rawAnswerPath(bytes, 'close')} HTTP/1.1\r\nHost: gw.test\r\n\r\n`)
    const empty = await connection.answer(method)
    void connection.send('GET /next HTTP/1.1\r\nHost: gw.test\r\n\r\n')
    const next = await connection.answer()

    t.equal(empty.body.length, 0, bytes)
    t.equal(empty.header('content-length'), length, bytes)
    t.equal(empty.header('transfer-encoding'), undefined, bytes)
    t.match(next.body.toString(), /"url":"\/next"/, bytes)
  }
})

t.test('bytes of a second answer that nobody asked for reach no other client (G24)', async t => {
  const { proxy, answerTo } = await setUp(t)

  const first = await answerTo(`${answer([])}${answer([], 'evil')}`)
  const [second] = await exchange(proxy.port, 'GET /next HTTP/1.1\r\nHost: gw.test\r\n\r\n')

  t.equal(first.body.toString(), 'hi')
  t.match(second.body.toString(), /"url":"\/next"/)
})

t.test('status, validators, ranges, codings and odd bytes pass untouched (G28)', async t => {
  const { answerTo } = await setUp(t)
  const lines = [
    'ETag: W/"\xe9"',
    'Content-Encoding: br',
    'Vary: Accept',
    'Content-Range: bytes 0-1/9',
    'Location: /elsewhere'
  ]

  const seen = await answerTo(answer(lines, '\x00\xff', '206 Partial Content'))

  t.equal(seen.status, 206)
  t.strictSame(seen.body, Buffer.from([0, 255]))
  for (const line of lines) {
    const [name = '', value] = line.split(': ')
    t.strictSame(seen.all(name), [value], name)
  }
})

t.test('what a signed-in caller gets is kept out of shared caches (G29)', async t => {
  const { answerTo } = await setUp(t, { session: aSession() })

  const silent = await answerTo(answer([]))
  const outspoken = await answerTo(answer(['Cache-Control: public, max-age=5']))

  t.equal(silent.header('cache-control'), 'private')
  t.equal(silent.header('vary'), 'Cookie, Authorization')
  t.strictSame(outspoken.all('cache-control'), ['public, max-age=5'])
})

t.test('an HTTP/1.0 client gets an answer it can read, ended by closing (G32)', async t => {
  const { proxy } = await setUp(t)
  const connection = await RawConnection.open(proxy.port)
  t.teardown(() => connection.destroy())

  void connection.send('GET /__fault/chunks/3/5 HTTP/1.0\r\nHost: gw.test\r\n\r\n')
  const seen = await connection.answer()

  t.equal(seen.header('transfer-encoding'), undefined)
  t.equal(seen.body.toString(), 'x'.repeat(15))
  t.equal(await connection.closed(), 'end')
})

t.test('a trailer of an answer never becomes a header, and the answer ends where it does (G05)', async t => {
  const { proxy } = await setUp(t)
  const chunks = '2\r\nhi\r\n0\r\nX-Request-ID: theirs\r\nSet-Cookie: better-auth.session_token=evil\r\n\r\n'
  const bytes = `HTTP/1.1 200 OK\r\nTrailer: X-Request-ID\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`
  const requests = [rawAnswerPath(bytes), '/next'].map(path => `GET ${path} HTTP/1.1\r\nHost: gw.test\r\n\r\n`)
  const [seen, next] = await exchange(proxy.port, requests.join(''), ['GET', 'GET'])

  t.equal(seen.body.toString(), 'hi')
  t.notMatch([...seen.rawHeaders, ...seen.trailers].join('\n'), /theirs|evil|^trailer$/im)
  t.match(next?.body.toString(), /"url":"\/next"/)
})
