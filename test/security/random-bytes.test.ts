/**
 * Requests nobody would write, by the thousand: pieces of real ones, put together at random and damaged. The seed is
 * fixed, so that a failure comes back; SEED and REQUESTS make it another or a longer run.
 */
import t from 'tap'
import { startAttack } from '../support/attack.js'
import { RawConnection } from '../support/raw-http.js'

const SEED = Number(process.env['SEED'] ?? 1)
const REQUESTS = Number(process.env['REQUESTS'] ?? 1000)

const { gateway, send, user } = await startAttack(t)
const random = generator(SEED)

/** Damaged once for good: whatever is done to them afterwards, they are nobody's. */
const token = `${user.bearer.slice(0, 5)}${user.bearer[5] === 'A' ? 'B' : 'A'}${user.bearer.slice(6)}`
const cookie = `better-auth.session_token=${encodeURIComponent(token)}`

const METHODS = ['GET', 'GET', 'GET', 'GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'PURGE', 'FOO']
const SEGMENTS = [
  'api',
  'a',
  'b',
  'admin',
  'Admin',
  'auth',
  'get-session',
  'public',
  'strict',
  'x',
  '..',
  '.',
  '',
  '%2e%2e',
  '%2f',
  ';x=1',
  '%zz',
  '%00',
  '%C3%A9',
  '\\',
  'a.json',
  'admin%20'
]
const ENDS = ['', '', '', '', '', '', '/', '?x=1', '?', '#x', '//', '?%zz']
const VERSIONS = [' HTTP/1.0', ' HTTP/2.0', ' HTTP/1.2', '', ' http/1.1']
const NAMES = [
  'Cookie',
  'cookie',
  'Authorization',
  'Connection',
  'Origin',
  'X-User-ID',
  'X_User_ID',
  'X-Forwarded-For',
  'Upgrade',
  'TE',
  'Accept',
  'traceparent',
  'X-Request-ID',
  'Content-Type',
  'Sec-Fetch-Site',
  'X-Original-URL'
]
const FRAMING = [
  'Host: x',
  'Content-Length: 5',
  'Content-Length: 0',
  'Content-Length: -1',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'Expect: 100-continue',
  'Expect: x'
]
const VALUES = [
  'x',
  '',
  cookie,
  `${cookie}; a=b`,
  `a=b;${cookie}`,
  `Bearer ${token}`,
  `bearer ${token}`,
  'Bearer ',
  'Bearer a.b',
  'close',
  'keep-alive, x-user-id',
  'Upgrade',
  'https://evil.test',
  'null',
  gateway.origin,
  'evil',
  '127.0.0.1',
  'websocket',
  'trailers',
  'text/html',
  'application/problem+json',
  'application/json',
  'same-origin',
  '\xff\xfe',
  'a\tb',
  `"${token}"`,
  'better-auth.session_token',
  'better-auth.session_token=%zz',
  `=${cookie}`,
  'x'.repeat(5000)
]
const BODIES = [
  '',
  '',
  '',
  'abcde',
  '5\r\nabcde\r\n0\r\n\r\n',
  '{}',
  '{"email":1}',
  '0\r\n\r\n',
  'GET /api/a/x HTTP/1.1\r\nHost: x\r\n\r\n',
  '\x00\xff\x80'
]

t.test('no bytes open a route that asks for a session, break an answer or end the process', async t => {
  const statuses = new Map<number, number>()
  for (let i = 0; i < REQUESTS; i++) {
    const bytes = damaged(aRequest())
    const before = gateway.upstream.received.length
    const heads = await headsOf(bytes)
    for (const status of heads) statuses.set(status, (statuses.get(status) ?? 0) + 1)

    const reached = gateway.upstream.received.slice(before)
    const strangers = reached.filter(({ url }) => !/^\/(public|optional)(\/|$|\?)/.test(url))
    const impostors = reached.filter(({ rawHeaders }) => rawHeaders.some(each => /^x.user.id$/i.test(each)))
    const ours = heads.filter(status => status >= 500)
    if (strangers.length + impostors.length + ours.length > 0) {
      t.fail(`request ${i} of seed ${SEED}`, {
        bytes,
        heads,
        reached: reached.map(({ url, rawHeaders }) => [url, rawHeaders])
      })
    }
  }
  t.ok((statuses.get(401) ?? 0) > REQUESTS / 50, `${[...statuses]}: many came as far as the check`)
  t.ok((statuses.get(200) ?? 0) > REQUESTS / 100, 'and some as far as a public route')
})

t.test('afterwards it works as before', async t => {
  t.equal((await send('GET /api/a/x', [user.cookieLine])).status, 200)
  t.equal((await send('GET /api/a/x')).status, 401)
  t.strictSame(
    gateway.log.filter(({ level }) => Number(level) >= 50),
    [],
    'and logged no error'
  )
})

function aRequest(): string {
  const path = `/${Array.from({ length: 1 + random(4) }, () => pick(SEGMENTS)).join('/')}`
  const known =
    random(5) > 0
      ? pick(['/api/a/x', '/api/b/x', '/api/strict/x', '/public/x', '/optional/x', '/api/auth/get-session'])
      : path
  const host = random(20) === 0 ? [] : [`Host: localhost:${gateway.port}`]
  const lines = Array.from({ length: random(6) }, () => rarely(FRAMING) ?? `${pick(NAMES)}: ${pick(VALUES)}`)
  return [
    `${pick(METHODS)} ${known}${pick(ENDS)}${rarely(VERSIONS) ?? ' HTTP/1.1'}`,
    ...host,
    ...lines,
    '',
    pick(BODIES)
  ].join('\r\n')
}

/** Most stay whole; the others lose, gain or change a few bytes. */
function damaged(request: string): string {
  let bytes = request
  for (let n = random(4) === 0 ? random(4) : 0; n > 0; n--) {
    const at = random(bytes.length)
    const [gone, come] = [random(3), String.fromCharCode(random(256)).repeat(random(2))]
    bytes = bytes.slice(0, at) + come + bytes.slice(at + gone)
  }
  return bytes
}

/** Status of every answer. Whoever has none when a later request has been answered is waiting for more than we send. */
async function headsOf(bytes: string): Promise<number[]> {
  const connection = await RawConnection.open(gateway.port)
  await connection.send(bytes)
  await Promise.race([connection.received(1), send('GET /public/marker')])
  connection.end()
  await connection.closed()
  const heads = [...connection.unread.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status))
  connection.destroy()
  return heads
}

function pick<T>(list: readonly T[]): T {
  return list[random(list.length)] as T
}

function rarely<T>(list: readonly T[]): T | undefined {
  return random(12) === 0 ? pick(list) : undefined
}

/** Mulberry32: small, and the same everywhere. */
function generator(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * below)
  }
}
