/** A WebSocket through the whole gateway: the frames of both sides as they are, and both ends of it. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import t from 'tap'
import { eventually } from '../support/eventually.js'
import { get, signUp, startGateway, type TestGateway } from '../support/gateway.js'
import { dial, openSocket } from '../support/websocket.js'
import { BINARY, CLOSE, PING, TEXT } from '../support/websocket-frames.js'
import { startSocketServer } from '../support/websocket-server.js'

const ROUTES = `
routes:
  - { name: ws, path: /ws/*, upstream: chat, access: session }
  - { name: open, path: /open/*, upstream: chat, access: public }
  - { name: gone, path: /gone/*, upstream: gone, access: public }
  - { name: silent, path: /silent/*, upstream: silent, access: public }
`
const silent = createServer()
await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
t.teardown(() => silent.close())
const server = await startSocketServer(t)
const gateway = await startGateway(t, {
  yaml: `
upstreams:
  chat: { targets: ['${server.origin}'], timeout: { connect: 1s, headers: 2s, idle: 400ms } }
  gone: { targets: ['http://127.0.0.1:1'] }
  silent: { targets: ['http://127.0.0.1:${(silent.address() as { port: number }).port}'], timeout: { connect: 1s, headers: 1s, idle: 1s } }
${ROUTES}`
})
const { port, origin } = gateway
const user = await signUp(gateway)
const own = { cookie: user.cookie, origin }

const lines = ({ log }: TestGateway, path: string) => log.filter(line => line['path'] === path)
const metrics = async () => (await fetch(`http://127.0.0.1:${gateway.opsPort}/metrics`)).text()
const allGone = () => eventually(() => server.open.size === 0, 'no WebSocket is left')

t.beforeEach(() => {
  server.onFrame = null
  server.onHandshake = null
})

t.test('frames pass in both directions as they are (H11)', async t => {
  const socket = await openSocket(port, '/ws/frames?room=1', own)
  for (const size of [0, 125, 126, 65_535, 65_536, 16_000_000]) {
    const bytes = randomBytes(size)
    socket.send(bytes, BINARY)
    const echo = await socket.next()
    t.ok(echo.data.equals(bytes) && echo.opcode === BINARY, `${size} bytes`)
  }
  socket.send('one ', TEXT, { fin: false })
  socket.send('ping', PING)
  socket.send('two', 0)
  const pieces = [await socket.next(), await socket.next(), await socket.next()]
  t.strictSame(
    pieces.map(({ fin, opcode, data }) => [fin, opcode, data.toString()]),
    [
      [false, TEXT, 'one '],
      [true, PING, 'ping'],
      [true, 0, 'two']
    ]
  )
  socket.send(Buffer.from([0xff, 0xfe]), TEXT, { reserved: 0x40 })
  const odd = await socket.next()
  t.equal((odd.raw[0] as number) & 0x70, 0x40, 'reserved bits, as an extension sets them')
  t.ok(odd.data.equals(Buffer.from([0xff, 0xfe])), 'what is no UTF-8')

  socket.send(Buffer.from([0x0f, 0xa0, 0x68, 0x69]), CLOSE)
  t.strictSame(await socket.closed, { code: 4000, reason: 'hi' })
  await eventually(() => lines(gateway, '/ws/frames').length > 0, 'the line of the access log')
  const [line, ...more] = lines(gateway, '/ws/frames')
  t.match(line, { status: 101, route: 'ws', granted: true, reason: null, userId: user.id, totalMs: Number })
  t.ok(Number(line?.['totalMs']) > Number(line?.['upstreamMs']), 'the whole time, and that of the handshake')
  t.equal(more.length, 0)
})

t.test('what is sent with the handshake, before its answer, arrives', async t => {
  const socket = await openSocket(port, '/open/early', { early: Buffer.from('81810000000068', 'hex') })
  t.equal((await socket.next()).data.toString(), 'h')
  socket.socket.destroy()
  await allGone()
})

t.test('idle for longer than any timeout of an answer, it stays', async t => {
  const socket = await openSocket(port, '/open/idle')
  const quiet = await afterAWhile(socket.socket, 900)
  t.equal(quiet, 'open')
  socket.send('still here')
  t.equal((await socket.next()).data.toString(), 'still here')
  t.match(await metrics(), /session_gateway_live_connections\{kind="websocket"\} 1/)
  socket.socket.end()
  await socket.closed
  await allGone()
  t.match(await metrics(), /session_gateway_live_connections\{kind="websocket"\} 0/)
})

/** Longer than the upstream's idle timeout: only time can show that nothing ends it. */
async function afterAWhile(socket: Socket, ms: number): Promise<'open' | 'closed'> {
  const closed = once(socket, 'close').then(() => 'closed' as const)
  return Promise.race([closed, new Promise<'open'>(resolve => setTimeout(() => resolve('open'), ms))])
}

t.test('who reads slowly slows down who sends, in both directions (H12)', async t => {
  const chunk = Buffer.alloc(64 * 1024)
  const size = 200 * 1024 * 1024
  let sentByUpstream = 0
  server.onFrame = ({ socket }) => {
    const pump = (): void => {
      while (sentByUpstream < size) {
        sentByUpstream += chunk.length
        if (!socket.write(chunk)) {
          socket.once('drain', pump)
          return
        }
      }
    }
    pump()
  }
  const socket = await openSocket(port, '/open/flood')
  socket.send('go')
  socket.socket.pause()
  await settled(() => sentByUpstream)
  t.ok(sentByUpstream < size / 4, `the upstream was stopped after ${sentByUpstream >> 20} MiB`)
  socket.socket.destroy()
  await allGone()

  const upload = await openSocket(port, '/open/upload')
  const [{ socket: reader } = { socket: null }] = server.open
  reader?.pause()
  let sentByClient = 0
  const push = (): void => {
    while (sentByClient < size && upload.socket.writable) {
      sentByClient += chunk.length
      if (!upload.socket.write(chunk)) {
        upload.socket.once('drain', push)
        return
      }
    }
  }
  push()
  await settled(() => sentByClient)
  t.ok(sentByClient < size / 4, `the client was stopped after ${sentByClient >> 20} MiB`)
  upload.socket.destroy()
  reader?.destroy()
  await allGone()
})

/** Until it does not move for a while. */
async function settled(read: () => number): Promise<void> {
  let last = -1
  let since = performance.now()
  await eventually(() => {
    const now = read()
    if (now !== last) since = performance.now()
    last = now
    return now > 0 && performance.now() - since > 300
  }, 'nothing moves any more')
}

t.test('a client that takes nothing is cut off in the end (H12)', async () => {
  server.onFrame = ({ socket }) => socket.write(Buffer.alloc(64 * 1024 * 1024))
  const socket = await openSocket(port, '/open/stalled')
  socket.send('go')
  socket.socket.pause()
  await allGone()
})

t.test('an answer of the upstream that is no 101 passes as any answer does (H10)', async t => {
  server.onHandshake = (_request, socket) =>
    socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\nX-Why: not you\r\nServer: secret\r\n\r\nnope')
  const refused = dial(port, '/ws/refused', own)
  t.match(await refused.answer, {
    status: 403,
    headers: { 'x-why': 'not you', connection: 'close', 'x-request-id': /./ }
  })
  t.equal((await refused.answer)?.headers['server'], undefined)
  await refused.closed
  t.equal(refused.body, 'nope')
  t.match(lines(gateway, '/ws/refused'), [{ status: 403, granted: true }])

  server.onHandshake = (_request, socket) =>
    socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n')
  const plain = dial(port, '/ws/plain', own)
  await plain.closed
  t.match(plain.body, /abc.*def/s)
})

/** How a handshake is refused. */
async function ask(path: string) {
  const socket = dial(port, path, own)
  const answer = await socket.answer
  await socket.closed
  return { status: answer?.status, ...(JSON.parse(socket.body) as { code: string }) }
}

t.test('an upstream that is away, silent or no WebSocket server is a gateway error', async t => {
  t.match(await ask('/gone/x'), { status: 502, code: 'UPSTREAM_UNREACHABLE' })
  t.match(await ask('/silent/x'), { status: 504, code: 'UPSTREAM_TIMEOUT' })
  server.onHandshake = (_request, socket) => socket.destroy()
  t.match(await ask('/ws/x'), { status: 502, code: 'UPSTREAM_UNREACHABLE' })
  server.onHandshake = (_request, socket) =>
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
  t.match(await ask('/ws/x'), { status: 502, code: 'UPSTREAM_BAD_RESPONSE' })
})

t.test('when one side ends or breaks, so does the other', async t => {
  const ended = await openSocket(port, '/open/x')
  const [first] = server.open
  first?.socket.end()
  await ended.closed
  await allGone()

  const broken = await openSocket(port, '/open/x')
  const [second] = server.open
  second?.socket.resetAndDestroy()
  await broken.closed
  await allGone()

  for (const end of ['end', 'destroy', 'resetAndDestroy'] as const) {
    const socket = await openSocket(port, '/open/x')
    socket.socket[end]()
    await allGone()
  }
  t.pass('all of them')
})

t.test('a thousand that are opened and dropped leave nothing behind', async t => {
  const { server: http } = gateway.app.publicListener
  const connections = () => new Promise<number>(resolve => http.getConnections((_error, count) => resolve(count)))
  const before = await connections()
  const openAndDrop = async (i: number) => {
    const socket = dial(port, '/ws/x', own)
    if (i % 4 === 1) await once(socket.socket, 'connect')
    if (i % 4 > 1) await socket.answer
    if (i % 4 === 3) socket.send('bye')
    if (i % 2 === 0) socket.socket.resetAndDestroy()
    else socket.socket.destroy()
    await socket.closed
  }
  for (let i = 0; i < 1000; i += 20) await Promise.all(Array.from({ length: 20 }, (_, j) => openAndDrop(i + j)))

  await allGone()
  await eventually(async () => (await connections()) <= before, 'no connection of a client is left')
  t.match(await metrics(), /session_gateway_live_connections\{kind="websocket"\} 0/)
  const last = await openSocket(port, '/ws/x', own)
  last.send('hello')
  t.equal((await last.next()).data.toString(), 'hello', 'and none counts for the cap')
  last.socket.destroy()
  t.equal((await get(gateway, '/livez')).status, 200)
})
