/** When a connection to an upstream serves another call, when it is closed, and by whom. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { eventually } from '../../support/eventually.js'
import { startProxy } from '../../support/proxy.js'
import { exchange } from '../../support/raw-http.js'

const REQUEST_END = '\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi'

/** Answers every request with these very bytes, on whatever connection it comes. */
async function setUp(t: Test, bytes: string, behind = '', inSameTurn = () => {}) {
  const sockets: Socket[] = []
  const requests: string[] = []
  const server = createServer(socket => {
    sockets.push(socket)
    let unread = ''
    socket
      .on('error', () => {})
      .on('data', chunk => {
        unread += chunk.toString('latin1')
        for (let end = unread.indexOf(REQUEST_END); end >= 0; end = unread.indexOf(REQUEST_END)) {
          requests.push(unread.slice(0, end))
          unread = unread.slice(end + REQUEST_END.length)
          socket.write(bytes, 'latin1')
          if (behind !== '') setTimeout(() => socket.write(behind), 20)
        }
      })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const proxy = await startProxy(t, `http://127.0.0.1:${(server.address() as AddressInfo).port}`, { inSameTurn })
  async function ask(method = 'GET') {
    const [answer] = await exchange(proxy.port, `${method} /x HTTP/1.1\r\nHost: gw.test\r\n\r\n`, [method])
    return answer
  }
  return { proxy, sockets, requests, ask }
}

t.test('an answer that ends where it says leaves the connection to the next call', async t => {
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n'
  const old = OK.replace('1.1 200 OK', '1.0 200 OK\r\nConnection: keep-alive')
  for (const bytes of [OK, chunked, 'HTTP/1.1 204 No Content\r\n\r\n', old, `HTTP/1.1 103 Early\r\n\r\n${OK}`]) {
    const { sockets, ask } = await setUp(t, bytes)
    for (const _ of [1, 2, 3]) await ask()
    t.equal(sockets.length, 1, JSON.stringify(bytes))
  }
})

t.test('a connection whose next answer could be mistaken is not used again (G24)', async t => {
  const cases: [string, string, string?][] = [
    ['the upstream says close', OK.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')],
    ['HTTP/1.0 that does not say keep-alive', OK.replace('1.1', '1.0')],
    ['bytes behind the answer', `${OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`],
    ['an answer to HEAD, whatever may follow it', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n', 'HEAD'],
    [
      'kept for a second at most, which is when it is closed',
      OK.replace('\r\n\r\n', '\r\nKeep-Alive: timeout=1\r\n\r\n')
    ]
  ]
  for (const [name, bytes, method] of cases) {
    const { sockets, ask } = await setUp(t, bytes)
    t.equal((await ask(method)).status, 200, name)
    t.equal((await ask(method)).status, 200, name)
    t.equal(sockets.length, 2, name)
    await eventually(() => sockets.every(({ destroyed }) => destroyed), `${name}: closed`)
  }
})

t.test('bytes on an idle connection end it, and are nobody’s answer (G24)', async t => {
  const { sockets, ask } = await setUp(t, OK, 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
  await ask()
  await eventually(() => sockets[0]?.destroyed === true, 'closed')

  t.equal((await ask()).body.toString(), 'hi')
  t.equal(sockets.length, 2)
})

t.test('what comes on an idle connection before a request has left is not its answer, and the request leaves on another (G24)', async t => {
  const accidents: [string, (socket: Socket) => void][] = [
    ['an answer', socket => socket.emit('data', Buffer.from(OK.replace('hi', 'no')))],
    ['a closed connection', socket => socket.emit('end')],
    ['a reset connection', socket => socket.destroy()]
  ]
  const ours: Socket[] = []
  const watch = (message: unknown) => ours.push((message as { socket: Socket }).socket)
  subscribe('net.client.socket', watch)
  t.teardown(() => unsubscribe('net.client.socket', watch))

  for (const [name, happens] of accidents) {
    let idle: Socket | undefined
    const { sockets, requests, proxy, ask } = await setUp(t, OK, '', () => idle && happens(idle))
    await ask()
    idle = ours.find(({ localPort }) => localPort === sockets[0]?.remotePort)

    const answer = await ask('POST')

    t.equal(answer.status, 200, name)
    t.equal(answer.body.toString(), 'hi', `${name}: of the request itself`)
    t.same([sockets.length, requests.length, proxy.changes.length], [2, 2, 0], `${name}: sent once, on another connection`)
    t.equal(proxy.retried.length, 0, `${name}: and no extra call`)
  }
})

t.test('an idle connection is closed a second before the upstream would', async t => {
  const { sockets, ask } = await setUp(t, OK.replace('\r\n\r\n', '\r\nKeep-Alive: timeout=2, max=9\r\n\r\n'))
  const startedAt = performance.now()
  await ask()
  await eventually(() => sockets[0]?.destroyed === true, 'closed')

  const keptMs = performance.now() - startedAt
  t.ok(keptMs >= 990 && keptMs < 1900, `${keptMs} ms`)
})

t.test('what goes out is one request, and says so (B25)', async t => {
  const { requests, ask } = await setUp(t, OK)
  await ask('GET')
  await ask('DELETE')
  await ask('PUT')

  const heads = requests.map(request => request.split('\r\n'))
  t.strictSame(
    heads.map(([line]) => line),
    ['GET /x HTTP/1.1', 'DELETE /x HTTP/1.1', 'PUT /x HTTP/1.1']
  )
  for (const lines of heads) {
    t.match(lines[1], /^host: 127\.0\.0\.1:\d+$/)
    t.equal(lines[2], 'connection: keep-alive')
  }
  t.strictSame(
    requests.map(request => /^(content-length|transfer-encoding): .*/m.exec(request)?.[0] ?? null),
    [null, null, 'content-length: 0'],
    'where a body is expected, that there is none is said'
  )
})
