/** A WebSocket is opened by whoever may call the route, from a page of ours, and by nobody else (H01–H07, H14). */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { signToken } from '../../src/session/credential.js'
import { createCertificate } from '../support/certificate.js'
import { eventually } from '../support/eventually.js'
import { SECRET, signUp, startGateway } from '../support/gateway.js'
import { exchange, RawConnection } from '../support/raw-http.js'
import { acceptFor, startSocketServer } from '../support/websocket-server.js'
import { type Answer, dial, openSocket, type SocketOptions } from '../support/websocket.js'

const server = await startSocketServer(t)
const second = await startSocketServer(t)
const gateway = await startGateway(t, {
  env: { CORS_ORIGINS: 'https://app.example.com' },
  yaml: `
upstreams:
  chat: { targets: ['${server.origin}'], internalKey: the-internal-key, maxSockets: 3 }
  two: { targets: ['${server.origin}', '${second.origin}'] }
routes:
  - { name: admin, path: /ws/admin/*, upstream: chat, access: { roles: [admin] } }
  - { name: ws, path: /ws/*, upstream: chat, access: session }
  - { name: strict, path: /strict/*, upstream: chat, access: session, consistency: strict }
  - { name: open, path: /open/*, upstream: chat, access: public }
  - { name: two, path: /two/*, upstream: two, access: public }
  - { name: any-origin, path: /any/*, upstream: chat, access: session, originCheck: false }
  - { name: posts, path: /posts/*, methods: [POST], upstream: chat, access: session }
  - { name: limited, path: /limited/*, upstream: chat, access: session, rateLimit: { max: 1, window: 1m, by: user } }
`
})
const { port, origin } = gateway
const user = await signUp(gateway)
const own = { cookie: user.cookie, origin }

/** What a handshake is answered with; the upstream must not hear of a refused one. */
async function answerTo(path: string, options: SocketOptions = own): Promise<Answer & { code: unknown }> {
  const heard = server.requests.length
  const before = server.open.size
  const socket = dial(port, path, options)
  const answer = await socket.answer
  if (answer === null) throw new Error('no answer')
  if (answer.status === 101) {
    socket.socket.end()
    await socket.closed
    await eventually(() => server.open.size === before, 'the upstream has seen it end')
    return { ...answer, code: null }
  }
  await socket.closed
  if (server.requests.length !== heard) throw new Error('the upstream was asked')
  return { ...answer, code: (JSON.parse(socket.body) as { code: string }).code }
}

const withHeader = (headers: Record<string, string>) => answerTo('/ws/x', { ...own, headers })

t.test('nobody comes in without a live session (H01)', async t => {
  const forged = `${user.cookie.slice(0, user.cookie.indexOf('=') + 1)}${'x'.repeat(32)}.${'A'.repeat(43)}%3D`
  const unknown = encodeURIComponent(signToken(randomBytes(16).toString('hex'), SECRET))
  const name = user.cookie.slice(0, user.cookie.indexOf('='))

  t.match(await answerTo('/ws/x', { origin }), { status: 401, code: 'AUTHENTICATION_REQUIRED' })
  t.match(await answerTo('/ws/x', { cookie: forged, origin }), { status: 401, code: 'INVALID_SESSION' })
  t.match(await answerTo('/ws/x', { cookie: `${name}=${unknown}`, origin }), { status: 401, code: 'INVALID_SESSION' })
  const refused = await answerTo('/ws/x', { origin })
  t.match(refused.headers, { connection: 'close', 'www-authenticate': /^Bearer/, 'x-request-id': /./ })
})

t.test('the stages of any other request refuse it as they refuse that', async t => {
  t.match(await answerTo('/ws/admin/x'), { status: 403, code: 'INSUFFICIENT_ROLE' })
  t.match(await answerTo('/nowhere'), { status: 404, code: 'ROUTE_NOT_FOUND' })
  t.match(await answerTo('/posts/x'), { status: 405, code: 'METHOD_NOT_ALLOWED', headers: { allow: 'POST' } })
  for (const path of ['/ws/../open/x', '/ws/%2e%2e/x', '/ws/..;/x', '/ws//x', '/ws/%2fx', '/ws/x#f']) {
    t.match(await answerTo(path), { status: 400, code: 'BAD_PATH' }, path)
  }
  t.match(await answerTo('/limited/x'), { status: 101 })
  t.match(await answerTo('/limited/x'), { status: 429, code: 'RATE_LIMITED', headers: { 'retry-after': /^\d+$/ } })
})

t.test('a page of another site cannot use the cookie (H03, CVE-2026-133111)', async t => {
  const { cookie } = user
  const from = (origin: string) => answerTo('/ws/x', { cookie, origin })
  const refused = { status: 403, code: 'ORIGIN_NOT_ALLOWED' }

  for (const other of ['https://evil.test', 'null', '', `${origin}.evil.test`, `${origin}/`]) {
    t.match(await from(other), refused, `'${other}'`)
  }
  t.match(await answerTo('/ws/x', { cookie }), refused, 'none')
  const claims = { 'Sec-Fetch-Site': 'same-origin' }
  t.match(await answerTo('/ws/x', { cookie, headers: claims }), refused, 'a browser always says from where')
  t.match(await from('https://APP.example.com'), { status: 101 })
  t.equal(server.requests.at(-1)?.headers.origin, 'https://APP.example.com', 'the upstream may judge it as well')
  t.match(await from(origin), { status: 101 })

  const Authorization = `Bearer ${user.bearer}`
  t.match(await answerTo('/ws/x', { headers: { Authorization } }), { status: 101 }, 'a bearer is attached by nobody')
  t.match(await answerTo('/any/x', { cookie, origin: 'https://evil.test' }), { status: 101 }, 'originCheck: false')
})

t.test('the upstream learns who it is from the gateway alone', async t => {
  const headers = {
    'X-User-ID': 'root',
    x_user_roles: 'admin',
    'X-Forwarded-For': '203.0.113.9',
    'X-Gateway-Assertion': 'mine',
    Connection: 'keep-alive, Upgrade, X-Secret, X-User-Email',
    Upgrade: 'h2c, WebSocket',
    'X-Secret': 'hop',
    'Keep-Alive': 'timeout=5',
    'Proxy-Authorization': 'Basic eA==',
    Cookie: `${user.cookie}; theme=dark`,
    'Sec-WebSocket-Protocol': 'chat, json',
    'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits'
  }
  const socket = await openSocket(port, '/ws/x?token=abc', { origin, headers })
  const { headers: answered } = (await socket.answer) as Answer
  const { headers: arrived, url, rawHeaders } = server.requests.at(-1) as (typeof server.requests)[number]

  t.equal(url, '/ws/x?token=abc')
  t.match(arrived, {
    'x-user-id': user.id,
    'x-user-email': user.email,
    'x-user-roles': 'user',
    authorization: 'Bearer the-internal-key',
    'x-forwarded-for': '127.0.0.1',
    connection: 'upgrade',
    upgrade: 'websocket',
    cookie: 'theme=dark',
    'sec-websocket-key': socket.key,
    'sec-websocket-version': '13',
    'sec-websocket-protocol': 'chat, json',
    'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits'
  })
  for (const name of ['x_user_roles', 'x-gateway-assertion', 'x-secret', 'keep-alive', 'proxy-authorization']) {
    t.equal(arrived[name], undefined, name)
  }
  t.notOk(rawHeaders.join('\n').includes(user.bearer.slice(0, 32)), 'the session token stays here')
  t.match(answered, {
    'sec-websocket-accept': acceptFor(socket.key),
    'sec-websocket-protocol': 'chat',
    upgrade: 'websocket',
    connection: 'Upgrade',
    'x-request-id': /./
  })
  socket.socket.destroy()
  await eventually(() => server.open.size === 0, 'it ends')
})

t.test('on a public route nobody is named, and a bearer of ours goes no further', async t => {
  const headers = { Authorization: `Bearer ${user.bearer}`, 'X-User-ID': 'root' }
  t.match(await answerTo('/open/x', { ...own, headers }), { status: 101 })
  const { headers: arrived } = server.requests.at(-1) as (typeof server.requests)[number]
  t.match(arrived, { authorization: 'Bearer the-internal-key' })
  t.equal(arrived['x-user-id'], undefined)
})

t.test('what the upstream may not say to a client does not pass with the 101 either', async t => {
  const name = user.cookie.slice(0, user.cookie.indexOf('='))
  server.headers.push(
    `Set-Cookie: ${name}=fixed`,
    'Set-Cookie: theme=dark',
    'X-User-ID: root',
    'Content-Length: 5',
    'Server: x'
  )
  const { headers } = await answerTo('/ws/x')
  server.headers.length = 0
  t.equal(headers['set-cookie'], 'theme=dark')
  for (const each of ['x-user-id', 'content-length', 'server']) t.equal(headers[each], undefined, each)
})

t.test('a 101 that announces a coding is none, and its connection is counted as given back once', async t => {
  server.headers.push('Transfer-Encoding: gzip')
  for (let bad = 0; bad < 4; ) if ((await statusOf('/two/x')) === 502) bad++
  server.headers.length = 0
  await eventually(() => server.open.size + second.open.size === 0, 'all are gone')

  const held = await Promise.all([1, 2, 3, 4].map(() => openSocket(port, '/two/x', own)))
  t.strictSame([server.open.size, second.open.size], [2, 2], 'to the one that has fewer')
  for (const each of held) each.socket.destroy()
  await eventually(() => server.open.size + second.open.size === 0, 'it ends')
})

t.test('a handshake that can be read in several ways is refused (H07)', async t => {
  const bad = { status: 400, code: 'BAD_REQUEST' }
  const version = await withHeader({ 'Sec-WebSocket-Version': '12' })
  t.match(version, { status: 426, headers: { 'sec-websocket-version': '13', upgrade: 'websocket' } })
  for (const key of [
    '',
    'short',
    `${'A'.repeat(22)}=`,
    `${'A'.repeat(21)}B==`,
    `${'A'.repeat(21)}A==, ${'A'.repeat(21)}A==`
  ]) {
    t.match(await withHeader({ 'Sec-WebSocket-Key': key }), bad, `key '${key}'`)
  }
  t.match(await withHeader({ 'Content-Length': '5' }), bad)
  t.match(await withHeader({ 'Transfer-Encoding': 'chunked' }), bad)
  t.match(await withHeader({ Connection: 'keep-alive, Upgrade' }), { status: 101 })
  t.match(await withHeader({ Upgrade: 'WEBSOCKET' }), { status: 101 })

  const lines = `Host: localhost:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${'A'.repeat(22)}==\r\nOrigin: ${origin}\r\nCookie: ${user.cookie}\r\n`
  const [old] = await exchange(port, `GET /ws/x HTTP/1.0\r\n${lines}\r\n`)
  t.equal(old.status, 400)
  const [post] = await exchange(port, `POST /ws/x HTTP/1.1\r\n${lines}Content-Length: 0\r\n\r\n`)
  t.equal(post.status, 405)
})

t.test('another Upgrade is ignored, and the connection stays what it was (G35, B09)', async t => {
  const heard = server.requests.length
  const ask = (more: string) => `GET /open/x HTTP/1.1\r\nHost: localhost:${port}\r\n${more}\r\n`
  const h2c = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n'
  const connection = await RawConnection.open(port)
  for (const more of [h2c, h2c, '', 'Upgrade: websocket\r\n', '']) {
    await connection.send(ask(more))
    t.equal((await connection.answer()).status, 200, more)
  }
  connection.destroy()
  t.match(server.requests.length, heard, 'the upstream was asked for no upgrade')
})

t.test('one user holds so many sockets and no more (H14)', async t => {
  const other = await signUp(gateway)
  const held = await Promise.all([1, 2, 3].map(() => openSocket(port, '/ws/x', own)))
  t.match(await answerTo('/ws/x'), { status: 429, code: 'RATE_LIMITED', headers: { 'retry-after': '5' } })
  t.match(await answerTo('/ws/x', { cookie: other.cookie, origin }), { status: 101 }, 'somebody else does')
  held[0]?.socket.end()
  await held[0]?.closed
  await eventually(async () => (await answerTo('/ws/x')).status === 101, 'there is room again')
  for (const each of held) each.socket.destroy()
  await eventually(() => server.open.size === 0, 'all are gone')
})

async function drop(): Promise<void> {
  const { socket, closed } = dial(port, '/strict/x', own)
  await once(socket, 'connect')
  // While the gateway asks PostgreSQL, more or less.
  setImmediate(() => socket.resetAndDestroy())
  await closed
}

async function statusOf(path: string): Promise<number | undefined> {
  const socket = dial(port, path, own)
  const answer = await socket.answer
  socket.socket.destroy()
  await socket.closed
  return answer?.status
}

t.test('who goes away before the answer takes no place with him', async t => {
  server.onHandshake = (_request, socket) => socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
  for (let i = 0; i < 20; i++) await Promise.all(Array.from({ length: 10 }, drop))
  server.onHandshake = null
  await eventually(async () => (await statusOf('/ws/x')) === 101, 'there is room for the next')
  await eventually(() => server.open.size === 0, 'all are gone')
  t.ok(server.requests.length > 0)
})

t.test('a request behind the handshake is never taken for one (H06)', async t => {
  const early = Buffer.from(`GET /open/early HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`)
  const refused = dial(port, '/ws/refused', { origin, early })
  t.equal((await refused.answer)?.status, 401)
  await refused.closed
  t.notOk(refused.body.includes('plain'))

  const behind = await RawConnection.open(port)
  const handshake = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${'A'.repeat(22)}==\r\n`
  behind.send(`GET /open/first HTTP/1.1\r\nHost: a.test\r\n\r\nGET /open/behind HTTP/1.1\r\nHost: a.test\r\n${handshake}\r\n`)
  await behind.closed()
  // By path, not by number: a handshake of the test before may still arrive.
  const taken = server.requests.filter(({ url = '' }) => /early|refused|first|behind/.test(url))
  t.strictSame(taken, [], 'neither early, nor pipelined behind an answer under way')
  t.match(await answerTo('/ws/x'), { status: 101 }, 'and the gateway goes on')
})

t.test('over TLS the upstream must prove its name (G36)', async t => {
  const authority = createCertificate({ name: 'test authority', isAuthority: true })
  const good = await startSocketServer(t, { tls: createCertificate({ name: '127.0.0.1', signedBy: authority }) })
  const other = await startSocketServer(t, { tls: createCertificate({ name: '127.0.0.9', signedBy: authority }) })
  const file = join(t.testdir(), 'authority.pem')
  writeFileSync(file, authority.cert)
  const script = fileURLToPath(import.meta.resolve('../support/socket-through-gateway.js'))
  const { stdout } = await promisify(execFile)(process.execPath, ['--import=tsx', script, good.origin, other.origin], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: file }
  })
  t.strictSame(JSON.parse(stdout), ['echo', '502 UPSTREAM_UNREACHABLE'])
  t.equal(other.requests.length, 0)
})
