/** Request bodies: limits, early refusals, 100 (Continue), smuggling behind a refused body, back-pressure. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createHash, randomBytes } from 'node:crypto'
import t from 'tap'
import { eventually } from '../support/eventually.js'
import { type ProxyOptions, startProxy } from '../support/proxy.js'
import { exchange, RawConnection } from '../support/raw-http.js'
import { startUpstream } from '../support/upstream.js'

type Scope = { teardown: (fn: () => unknown) => unknown }

const MIB = 1024 * 1024

async function setUp(t: Scope, options: ProxyOptions = {}) {
  const upstream = await startUpstream(t)
  const proxy = await startProxy(t, upstream.origin, options)
  return {
    upstream,
    proxy,
    connect: async () => {
      const connection = await RawConnection.open(proxy.port)
      t.teardown(() => connection.destroy())
      return connection
    }
  }
}

function head(lines: readonly string[], requestLine = 'POST /x HTTP/1.1'): string {
  return [requestLine, 'Host: gw.test', ...lines, '', ''].join('\r\n')
}

function chunk(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])
}

t.test('a body arrives byte for byte, with its length where it had one (G14)', async t => {
  const { upstream, connect } = await setUp(t)
  const body = Buffer.concat([Buffer.from('{ "a": 1.0, "b":"é" , "a":2}'), randomBytes(3 * MIB)])
  const connection = await connect()

  void connection.send(head(['Content-Type: application/json\ta', `Content-Length: ${body.length}`]))
  void connection.send(body)
  await connection.answer()
  void connection.send(head(['Transfer-Encoding: chunked']))
  for (let at = 0; at < body.length; at += 100_000) void connection.send(chunk(body.subarray(at, at + 100_000)))
  void connection.send('0\r\n\r\n')
  await connection.answer()

  const bodySha = createHash('sha256').update(body).digest('hex')
  t.match(upstream.received, [
    { bodySha, headers: { 'content-length': String(body.length), 'content-type': 'application/json\ta' } },
    { bodySha, headers: { 'transfer-encoding': 'chunked', 'content-length': undefined } }
  ])
})

t.test('every method may have a body, and none gets one it did not have', async t => {
  const { upstream, proxy } = await setUp(t)

  for (const method of ['GET', 'DELETE', 'PUT', 'OPTIONS', 'PROPFIND']) {
    await exchange(proxy.port, `${head(['Content-Length: 3'], `${method} /with HTTP/1.1`)}abc`)
    await exchange(proxy.port, head([], `${method} /without HTTP/1.1`))
    const [withBody, without] = upstream.received.slice(-2)

    t.match(withBody, { method, bodyLength: 3 })
    t.match(without, { method, bodyLength: 0 })
    t.equal(without?.headers['transfer-encoding'], undefined, method)
  }
})

t.test('a body announced as too large is refused unread, and the upstream hears nothing (G11)', async t => {
  const { upstream, connect } = await setUp(t, { upstream: { maxBodyBytes: MIB } })
  const connection = await connect()

  void connection.send(head([`Content-Length: ${MIB + 1}`]))
  const answer = await connection.answer()

  t.equal(answer.status, 413)
  t.equal(answer.header('connection'), 'close')
  t.equal(await connection.closed(), 'end')
  t.equal(upstream.received.length, 0)
})

t.test('a client that sends a refused body anyway reads the refusal, not a reset (RFC 9112 section 9.6)', async t => {
  const { upstream, connect } = await setUp(t, { upstream: { maxBodyBytes: MIB } })
  const connection = await connect()

  const sent = connection.send(
    Buffer.concat([Buffer.from(head([`Content-Length: ${8 * MIB}`])), Buffer.alloc(8 * MIB)])
  )
  const answer = await connection.answer()
  await sent

  t.equal(answer.status, 413)
  t.equal(await connection.closed(), 'end')
  t.equal(upstream.received.length, 0)
})

t.test('a refused body is not searched for requests (G06)', async t => {
  const { upstream, connect } = await setUp(t, { upstream: { maxBodyBytes: 10 } })
  const smuggled = 'GET /admin HTTP/1.1\r\nHost: gw.test\r\n\r\n'
  for (const announced of [smuggled.length, 11]) {
    const connection = await connect()

    void connection.send(head([`Content-Length: ${announced}`]) + smuggled + smuggled)
    t.equal((await connection.answer()).status, 413)
    connection.end()
    await connection.closed()

    t.notMatch(connection.unread, /HTTP\/1.1 [^4]/, String(announced))
    t.equal(upstream.received.length, 0, String(announced))
  }
})

t.test('a body that grows too large on its way is stopped at both ends (G11)', async t => {
  const { upstream, connect } = await setUp(t, { upstream: { maxBodyBytes: MIB } })
  const connection = await connect()

  void connection.send(head(['Transfer-Encoding: chunked']))
  void connection.send(chunk(Buffer.alloc(MIB)))
  await eventually(() => upstream.received[0]?.bodyLength === MIB, 'the upstream has the allowed part')
  void connection.send(chunk(Buffer.alloc(1)))
  const answer = await connection.answer()

  t.equal(answer.status, 413)
  t.equal(answer.header('connection'), 'close')
  t.equal(await connection.closed(), 'end')
  await eventually(() => upstream.received[0]?.state === 'aborted', 'the upstream’s request is aborted')
})

t.test('a body of exactly the limit passes (G11)', async t => {
  const { proxy } = await setUp(t, { upstream: { maxBodyBytes: 5 } })

  const [counted] = await exchange(proxy.port, `${head(['Content-Length: 5'])}12345`)
  const [chunked] = await exchange(proxy.port, `${head(['Transfer-Encoding: chunked'])}5\r\n12345\r\n0\r\n\r\n`)

  t.strictSame([counted.status, chunked.status], [200, 200])
})

t.test('100 (Continue) is sent when the upstream is there to read, then ten megabytes pass (G08)', async t => {
  const { upstream, connect } = await setUp(t)
  const connection = await connect()
  const body = randomBytes(10 * MIB)

  void connection.send(head(['Expect: 100-continue', `Content-Length: ${body.length}`]))
  t.equal((await connection.interim()).status, 100)
  void connection.send(body)
  t.equal((await connection.answer()).status, 200)

  t.match(upstream.received, [{ bodyLength: body.length, state: 'complete', headers: { expect: undefined } }])
})

t.test('no 100 (Continue) for a request that is refused: the body is never sent (G08)', async t => {
  const tooLarge = await setUp(t, { upstream: { maxBodyBytes: 5 } })
  const away = await setUp(t)
  await away.upstream.close()

  for (const [{ connect }, status] of [
    [tooLarge, 413],
    [away, 502]
  ] as const) {
    const connection = await connect()
    void connection.send(head(['Expect: 100-continue', 'Content-Length: 6']))
    t.equal((await connection.interim()).status, status)
  }
})

t.test('an answer that comes before the body is passed on, and the connection is closed after it', async t => {
  const { upstream, connect } = await setUp(t)
  const connection = await connect()

  void connection.send(`${head([`Content-Length: ${64 * MIB}`], 'POST /__fault/early/403 HTTP/1.1')}first bytes`)
  const answer = await connection.answer()

  t.equal(answer.status, 403)
  t.equal(answer.header('connection'), 'close')
  t.equal(await connection.closed(), 'end')
  await eventually(() => upstream.connections.open === 0, 'the half-used connection to the upstream is closed')
})

t.test('an upstream that does not read is not read for: the client is made to wait', async t => {
  const { upstream, connect } = await setUp(t, { upstream: { headersTimeoutMs: 60_000 } })
  upstream.respond = (request, response) => {
    response.on('resume', () => request.resume())
    request.on('end', () => response.end('done'))
  }
  const connection = await connect()
  let taken = false

  void connection.send(head([`Content-Length: ${64 * MIB}`]))
  void connection.send(Buffer.alloc(64 * MIB)).then(() => (taken = true))
  await settled(() => process.memoryUsage().arrayBuffers)

  t.equal(taken, false, 'the bytes stay with the client')
  connection.destroy()
})

t.test('a client that pauses its upload for too long is cut off, at both ends', async t => {
  const { upstream, connect } = await setUp(t, { upstream: { idleTimeoutMs: 60 } })
  const connection = await connect()

  void connection.send(`${head(['Content-Length: 1000'])}some`)
  const answer = await connection.answer()

  t.equal(answer.status, 408)
  t.equal(await connection.closed(), 'end')
  await eventually(() => upstream.received[0]?.state === 'aborted', 'the upstream’s request is aborted')
})

t.test('an upload that is slow but steady passes', async t => {
  const { connect } = await setUp(t, { upstream: { idleTimeoutMs: 1000 } })
  const connection = await connect()

  void connection.send(head(['Content-Length: 8']))
  const sending = setInterval(() => void connection.send('x'), 150)
  t.teardown(() => clearInterval(sending))

  t.match((await connection.answer()).body.toString(), /"bodyLength":8/)
})

t.test('a request goes on right after an answered one on the same connection (G07)', async t => {
  const { upstream, connect } = await setUp(t)
  const connection = await connect()

  void connection.send(`${head(['Content-Length: 3'])}abc${head([], 'GET /second HTTP/1.1')}`)
  t.match((await connection.answer()).body.toString(), /"bodyLength":3/)
  t.match((await connection.answer()).body.toString(), /"url":"\/second"/)

  t.equal(upstream.received.length, 2)
})

t.test('requests whose framing two servers could read differently are refused (G01, G02, G03)', async t => {
  const { upstream, connect } = await setUp(t)
  const heads = [
    ['Content-Length: 4', 'Transfer-Encoding: chunked'],
    ['Content-Length: 4', 'Content-Length: 5'],
    ['Content-Length: +4'],
    ['Content-Length: 4, 4'],
    ['Content-Length: 4, 5'],
    ['Content-Length: 0x4'],
    ['Content-Length: 99999999999999999999999'],
    ['Transfer-Encoding: xchunked'],
    ['Transfer-Encoding: chunked, identity'],
    ['Transfer-Encoding: \x0bchunked'],
    ['Transfer-Encoding : chunked'],
    ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'],
    ['A: b\0c'],
    ['A: b\r\n folded'],
    [' A: b'],
    ['A: b\rc']
  ]
  for (const lines of heads) {
    const connection = await connect()
    void connection.send(`${head(lines)}0\r\n\r\n`)

    t.equal((await connection.answer()).status, 400, JSON.stringify(lines))
    await connection.closed()
  }
  t.equal(upstream.received.length, 0)
})

/** Resolves when a number has stood still for a while. */
async function settled(value: () => number): Promise<void> {
  let last = value()
  let still = 0
  await eventually(() => {
    const now = value()
    still = now === last ? still + 1 : 0
    last = now
    return still > 20
  }, 'the number stands still')
}

t.test('an upstream may rest while it reads, but not for ever', async t => {
  const { upstream, connect } = await setUp(t, { upstream: { headersTimeoutMs: 200 } })
  const send = async () => {
    const connection = await connect()
    void connection.send(head([`Content-Length: ${64 * MIB}`]))
    void connection.send(Buffer.alloc(64 * MIB))
    return connection.answer()
  }
  upstream.respond = (request, response) => {
    request.on('end', () => response.end('done'))
    setTimeout(() => request.resume(), 500)
  }
  t.equal((await send()).status, 200, 'what the kernel has taken shows itself in steps')

  upstream.respond = () => {}
  t.equal((await send()).status, 504)
})

t.test('an answer that begins early does not end the upload', async t => {
  const { upstream, connect } = await setUp(t, { upstream: { idleTimeoutMs: 200 } })
  upstream.respond = (request, response) => {
    response.writeHead(200).flushHeaders()
    request.resume().on('end', () => response.end('all read'))
  }
  const connection = await connect()
  void connection.send(head(['Content-Length: 10']))
  for (let i = 0; i < 10; i++) {
    await sleep(60)
    void connection.send('x')
  }
  t.equal((await connection.answer()).body.toString(), 'all read')
})
