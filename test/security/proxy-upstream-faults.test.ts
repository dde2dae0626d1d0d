/** An upstream that is away, slow, mad or dying: one clear code, nothing of its address, the process alive. */
import { createServer, type AddressInfo } from 'node:net'
import t from 'tap'
import { eventually } from '../support/eventually.js'
import { type ProxyOptions, startProxy } from '../support/proxy.js'
import { exchange, RawConnection } from '../support/raw-http.js'
import { rawAnswerPath, startUpstream } from '../support/upstream.js'

type Scope = { teardown: (fn: () => unknown) => unknown }

async function setUp(t: Scope, options: ProxyOptions = {}) {
  const upstream = await startUpstream(t)
  const proxy = await startProxy(t, upstream.origin, options)
  return { upstream, proxy, ask: (target: string) => ask(proxy.port, target) }
}

async function ask(port: number, target: string, method = 'GET', lines: readonly string[] = [], body = '') {
  const [answer] = await exchange(
    port,
    [`${method} ${target} HTTP/1.1`, 'Host: gw.test', ...lines, '', body].join('\r\n')
  )
  return { status: answer.status, text: answer.body.toString(), answer }
}

/** Accepts connections and says nothing, ever. */
async function startSilence(t: Scope): Promise<number> {
  const server = createServer(socket => socket.on('error', () => {}))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

t.test('an upstream that is not there is a 502 at once, without its address (G22)', async t => {
  const upstream = await startUpstream(null)
  await upstream.close()
  const proxy = await startProxy(t, upstream.origin)

  const { status, answer } = await ask(proxy.port, '/x')

  t.equal(status, 502)
  t.match(proxy.outcomes[0]?.error, { code: 'UPSTREAM_UNREACHABLE', reason: 'econnrefused' })
  t.notMatch(
    answer.rawHeaders.join('\n') + answer.body.toString(),
    new RegExp(`127\\.0\\.0\\.1|${upstream.port}|ECONN`)
  )
})

t.test('a name that does not resolve is a 502 (G22)', async t => {
  const proxy = await startProxy(t, 'http://nowhere.invalid:8000')

  t.equal((await ask(proxy.port, '/x')).status, 502)
  t.match(proxy.outcomes[0]?.error, { code: 'UPSTREAM_UNREACHABLE' })
})

t.test('a connection that does not come about in time is a 504 (G22)', async t => {
  const port = await startSilence(t)
  const proxy = await startProxy(t, `https://127.0.0.1:${port}`, { upstream: { connectTimeoutMs: 50 } })

  t.equal((await ask(proxy.port, '/x')).status, 504)
  t.match(proxy.outcomes[0]?.error, { code: 'UPSTREAM_TIMEOUT', reason: 'connect_timeout' })
})

t.test('headers that do not come in time are a 504, and the upstream’s work is called off (G22)', async t => {
  const { upstream, proxy, ask } = await setUp(t, { upstream: { headersTimeoutMs: 50 } })

  const { status } = await ask('/__fault/hang')

  t.equal(status, 504)
  t.match(proxy.outcomes[0]?.error, { code: 'UPSTREAM_TIMEOUT', reason: 'headers_timeout' })
  await eventually(() => upstream.connections.open === 0, 'the upstream’s connection is closed')
})

t.test('a body that stops coming ends the client’s connection in the middle', async t => {
  const { upstream, proxy } = await setUp(t, { upstream: { idleTimeoutMs: 50 } })
  upstream.respond = (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-length': 10 })
    response.write('half')
  }
  const connection = await RawConnection.open(proxy.port)
  t.teardown(() => connection.destroy())

  void connection.send('GET /x HTTP/1.1\r\nHost: gw.test\r\n\r\n')
  await connection.closed()

  t.match(connection.unread, /\r\n\r\nhalf$/)
  t.match(proxy.outcomes, [{ end: 'cut', error: { code: 'UPSTREAM_TIMEOUT' } }])
})

t.test('an upstream that dies in the middle of its answer takes the client’s connection with it (G20)', async t => {
  const { proxy } = await setUp(t)
  const connection = await RawConnection.open(proxy.port)
  t.teardown(() => connection.destroy())

  void connection.send('GET /__fault/reset-body HTTP/1.1\r\nHost: gw.test\r\n\r\n')
  await connection.closed()

  t.match(connection.unread, /^HTTP\/1\.1 200 /)
  t.match(proxy.outcomes, [{ end: 'cut', error: { code: 'UPSTREAM_UNREACHABLE' } }])
})

t.test('half a chunked answer is not ended as if it were whole', async t => {
  const { proxy } = await setUp(t)
  const half = rawAnswerPath('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n', 'close')
  const connection = await RawConnection.open(proxy.port)
  t.teardown(() => connection.destroy())

  void connection.send(`GET ${half} HTTP/1.1\r\nHost: gw.test\r\n\r\n`)
  await connection.closed()

  t.match(connection.unread, /4\r\nhalf\r\n$/)
})

t.test('a request on a new connection that is reset is sent once, whatever its method (G20)', async t => {
  for (const method of ['GET', 'POST', 'DELETE']) {
    const { upstream, proxy } = await setUp(t)

    t.equal((await ask(proxy.port, '/__fault/reset', method)).status, 502, method)
    t.equal(upstream.received.length, 1, method)
    t.match(proxy.outcomes[0]?.error, { code: 'UPSTREAM_UNREACHABLE' })
  }
})

/** Every connection serves one request and resets on the second: what a keep-alive time-out looks like from here. */
function serveOncePerConnection(upstream: Awaited<ReturnType<typeof startUpstream>>, always = false): void {
  const served = new WeakSet()
  upstream.respond = (request, response) => {
    if (served.has(request.socket) || (always && upstream.received.length > 1)) {
      request.socket.resetAndDestroy()
      return
    }
    served.add(request.socket)
    request.resume().on('end', () => response.end('served'))
  }
}

t.test('a safe request that met a connection dying of age is sent again, once, on a new one (G20)', async t => {
  const { upstream, proxy } = await setUp(t)
  serveOncePerConnection(upstream)

  t.equal((await ask(proxy.port, '/first')).text, 'served')
  t.equal((await ask(proxy.port, '/second')).text, 'served')
  t.strictSame(
    upstream.received.map(({ url }) => url),
    ['/first', '/second', '/second']
  )

  const stubborn = await setUp(t)
  serveOncePerConnection(stubborn.upstream, true)
  t.equal((await stubborn.ask('/first')).text, 'served')
  t.equal((await stubborn.ask('/second')).status, 502)
  t.equal(stubborn.upstream.received.length, 3, 'the second try was the last one')
})

t.test('an upstream that drops every other call gets a tenth more at most, then a pause (K22)', async t => {
  const { upstream, proxy } = await setUp(t)
  serveOncePerConnection(upstream)
  const asked = []
  for (let i = 0; i < 100; i++) asked.push(await ask(proxy.port, '/x'))

  const refused = asked.filter(({ status }) => status === 503)
  t.ok(refused.length > 0)
  t.match(refused[0]?.text, /UPSTREAM_OVERLOADED/)
  t.equal(refused[0]?.answer.header('retry-after'), '1')
  t.equal(proxy.retried.length, 5, 'what a gateway may repeat that has hardly any calls')
  t.equal(upstream.received.length, 100 + proxy.retried.length - refused.length)
})

t.test('a new connection in place of one that died of age proves nothing: no second try on it (G20)', async t => {
  const { upstream, ask } = await setUp(t)
  await ask('/first')
  upstream.closeIdleConnections()
  await eventually(() => upstream.connections.open === 0, 'the upstream’s connection is closed')

  t.equal((await ask('/__fault/reset')).status, 502)
  t.equal(upstream.received.length, 2)
})

t.test('a request whose answer had begun is not sent again (G20)', async t => {
  const { upstream, ask } = await setUp(t)
  await ask('/first')
  upstream.respond = request => {
    request.socket.write('HTTP/1.1 200 OK\r\nX-Half: ', () => setTimeout(() => request.socket.resetAndDestroy(), 20))
  }

  t.equal((await ask('/second')).status, 502)
  t.equal(upstream.received.length, 2)
})

t.test('POST, and anything with a body, is never sent twice (G20, RFC 9110 section 9.2.2)', async t => {
  const requests: [string, string[], string][] = [
    ['POST', ['Content-Length: 3'], 'abc'],
    ['POST', ['Content-Length: 0'], ''],
    ['DELETE', [], ''],
    ['GET', ['Content-Length: 3'], 'abc']
  ]
  for (const [method, lines, body] of requests) {
    const { upstream, proxy } = await setUp(t)
    serveOncePerConnection(upstream)
    await ask(proxy.port, '/first')

    t.equal((await ask(proxy.port, '/second', method, lines, body)).status, 502, `${method} ${lines}`)
    t.equal(upstream.received.length, 2, `${method} ${lines}`)
  }
})

t.test('a connection the upstream closed while idle is noticed before it is used', async t => {
  const { upstream, proxy } = await setUp(t)
  await ask(proxy.port, '/first')
  upstream.closeIdleConnections()
  await eventually(() => upstream.connections.open === 0, 'the upstream’s connection is closed')

  t.equal((await ask(proxy.port, '/second', 'POST', ['Content-Length: 3'], 'abc')).status, 200)
})

t.test('an error answer of the upstream passes untouched and is asked for once (G23)', async t => {
  const { upstream, ask } = await setUp(t)
  for (const status of [400, 401, 403, 404, 429, 500, 502, 503, 504]) {
    const before = upstream.received.length
    const seen = await ask(`/__fault/status/${status}`)
    t.equal(seen.status, status)
    t.match(seen.text, /"method":"GET"/)
    t.equal(upstream.received.length, before + 1, String(status))
  }
})

t.test('an answer that is not HTTP is a 502, and the connection it came on is not used again (G24)', async t => {
  const ok = 'HTTP/1.1 200 OK\r\n'
  const end = 'Content-Length: 2\r\n\r\nhi'
  const answers = [
    `HTTP/1.1 99 Low\r\n${end}`,
    `HTTP/1.1 099 Low\r\n${end}`,
    `HTTP/1.1 1000 High\r\n${end}`,
    `HTTP/1.1 20x OK\r\n${end}`,
    `${ok}Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!`,
    `${ok}content-length: 2\r\nContent-Length: 3\r\n\r\nhi!`,
    `${ok}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `${ok}Transfer-Encoding: chunked\r\n${end}`,
    `${ok}Content-Length: -2\r\n\r\nhi`,
    `${ok}Content-Length: +2\r\n\r\nhi`,
    `${ok}Content-Length: 0x2\r\n\r\nhi`,
    `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`,
    `${ok}Transfer-Encoding: xchunked\r\n\r\nhi`,
    `${ok}A: b\0c\r\n${end}`,
    `${ok}A: b\x01c\r\n${end}`,
    `${ok}A\0: b\r\n${end}`,
    `${ok}A : b\r\n${end}`,
    `${ok}: b\r\n${end}`,
    `${ok}no colon\r\n${end}`,
    `${ok}A: b\r\n folded\r\n${end}`,
    `HTTP/1.1 200 OK\n${end}`,
    'garbage\r\n\r\n',
    '\x16\x03\x01\x02\x00'
  ]
  for (const bytes of answers) {
    const { upstream, proxy, ask } = await setUp(t)
    const name = JSON.stringify(bytes)

    t.equal((await ask(rawAnswerPath(bytes))).status, 502, name)
    t.match(proxy.outcomes[0]?.error, { code: 'UPSTREAM_BAD_RESPONSE' }, name)
    t.equal((await ask('/next')).status, 200, name)
    t.equal(upstream.connections.total, 2, name)
  }
})

t.test('a header section without end is a 502 (G24)', async t => {
  const { upstream, proxy, ask } = await setUp(t)
  upstream.respond = request => {
    request.socket.write(`HTTP/1.1 200 OK\r\n${`X-Big: ${'x'.repeat(1000)}\r\n`.repeat(1000)}\r\n`)
  }

  t.equal((await ask('/x')).status, 502)
  t.match(proxy.outcomes[0]?.error, { code: 'UPSTREAM_BAD_RESPONSE', reason: 'headers_too_large' })
})

t.test('sixteen requests at once: the slow one keeps nobody waiting (G34)', async t => {
  const { proxy, ask } = await setUp(t)
  const slow = ask('/__fault/slow/400')

  await Promise.all(Array.from({ length: 15 }, () => ask('/x')))

  t.equal(proxy.outcomes.length, 15, 'the slow one is still on its way')
  t.equal((await slow).status, 200)
})
