/** Where does a request end? If two servers can disagree, the rest of one becomes the next one (request smuggling). */
import t, { type Test } from 'tap'
import { type Outcome, refused, startAttack } from '../support/attack.js'
import { eventually } from '../support/eventually.js'
import { RawConnection } from '../support/raw-http.js'

const { gateway, send, sendBytes, user, admin } = await startAttack(t)
const HOST = `Host: localhost:${gateway.port}`
const signedIn = [user.cookieLine, `Origin: ${gateway.origin}`]

const post = (framing: readonly string[], body: string) => send('POST /api/a/x', [...signedIn, ...framing], body)

function faulty(t: Test, outcome: Outcome, message: string, status = 400): void {
  refused(t, outcome, status, 'BAD_REQUEST', message)
  t.match(outcome.answer.header('connection'), /^close$/i, `${message}: closed`)
}

t.test('a length that can be read in two ways is refused, and the connection ends (G01)', async t => {
  const lengths: Readonly<Record<string, string[]>> = {
    'length and chunks': ['Content-Length: 4', 'Transfer-Encoding: chunked'],
    'chunks and length': ['Transfer-Encoding: chunked', 'Content-Length: 4'],
    'two lengths': ['Content-Length: 4', 'Content-Length: 5'],
    'the same twice': ['Content-Length: 4', 'Content-Length: 4'],
    'a plus': ['Content-Length: +4'],
    'a minus': ['Content-Length: -4'],
    'a list': ['Content-Length: 4,4'],
    'a list of two': ['Content-Length: 4, 5'],
    hex: ['Content-Length: 0x4'],
    blank: ['Content-Length:'],
    'a space inside': ['Content-Length: 4 4'],
    underscore: ['Content-Length: 4_0'],
    'a decimal': ['Content-Length: 4.0'],
    'above 2^53': ['Content-Length: 9007199254740993'],
    'above 2^64': ['Content-Length: 18446744073709551620']
  }
  for (const [name, framing] of Object.entries(lengths)) faulty(t, await post(framing, '0\r\n\r\n'), name)
})

t.test('a transfer coding other than chunked, or in HTTP/1.0, is refused (G02, RFC 9112 section 6.1)', async t => {
  const codings: Readonly<Record<string, string[]>> = {
    unknown: ['Transfer-Encoding: xchunked'],
    'chunked not last': ['Transfer-Encoding: chunked, identity'],
    identity: ['Transfer-Encoding: identity'],
    'gzip first': ['Transfer-Encoding: gzip, chunked'],
    twice: ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
    'twice in one': ['Transfer-Encoding: chunked, chunked'],
    'a second of another kind': ['Transfer-Encoding: chunked', 'Transfer-Encoding: x'],
    'a vertical tab': ['Transfer-Encoding: \x0bchunked'],
    'a space before the colon': ['Transfer-Encoding : chunked'],
    quoted: ['Transfer-Encoding: "chunked"'],
    'a parameter': ['Transfer-Encoding: chunked;x=1'],
    blank: ['Transfer-Encoding:']
  }
  for (const [name, framing] of Object.entries(codings)) faulty(t, await post(framing, '0\r\n\r\n'), name)

  const old = ['POST /api/a/x HTTP/1.0', HOST, ...signedIn, 'Transfer-Encoding: chunked', '', '0\r\n\r\n'].join('\r\n')
  faulty(t, await sendBytes(old), 'HTTP/1.0')
  t.match((await post(['Transfer-Encoding: ChunKed'], '3\r\nabc\r\n0\r\n\r\n')).reached, [{ bodyLength: 3 }])
})

t.test('another spelling of a framing header frames nothing, here or behind us', async t => {
  const { reached } = await post(['Transfer_Encoding: chunked', 'Content_Length: 50', 'Content-Length: 3'], 'abc')
  t.match(reached, [{ bodyLength: 3, headers: { 'content-length': '3' } }])
  t.notMatch(reached[0]?.rawHeaders, /_/)
})

const request = (head: string) => `GET /api/a/x HTTP/1.1\r\n${head}\r\n${user.cookieLine}\r\n\r\n`

t.test('header lines end with CRLF and go over one line each (G03)', async t => {
  const sections: Readonly<Record<string, string>> = {
    'bare LF everywhere': request(HOST).replaceAll('\r\n', '\n'),
    'bare LF once': request(`${HOST}\nX: y`),
    'bare CR': request(`${HOST}\r\nX: y\rZ: a`),
    folded: request(`${HOST}\r\nX: y\r\n z`),
    NUL: request(`${HOST}\r\nX: y\0z`),
    'a space before the first': request(` ${HOST}`),
    'a space in a name': request(`${HOST}\r\nX Y: z`),
    'a space before a colon': request(`${HOST}\r\nX : z`),
    'no colon': request(`${HOST}\r\nXY`),
    'no name': request(`${HOST}\r\n: y`),
    'a name above 0x7f': request(`${HOST}\r\nX\x80: y`)
  }
  for (const [name, bytes] of Object.entries(sections)) faulty(t, await sendBytes(bytes), name)
  t.equal((await sendBytes(`\r\n${request(HOST)}`)).status, 200, 'one empty line before a request may be skipped')
})

const chunked = (body: string) => post(['Transfer-Encoding: chunked'], body)

t.test('chunks are sized in plain hex, end where they say, and cannot be used to waste our time (G04)', async t => {
  const bodies = ['G\r\n', '-1\r\n', '0x3\r\nabc\r\n0\r\n\r\n', `${'1'.repeat(17)}\r\n`, ' 3\r\nabc\r\n0\r\n\r\n']
  const ends = ['3\r\nabcX\r\n0\r\n\r\n', '3\nabc\n0\n\n', '3\r\nabcd\r\n0\r\n\r\n', '3;\nabc\r\n0\r\n\r\n']
  for (const body of [...bodies, ...ends]) {
    const { status, code } = await chunked(body)
    t.strictSame([status, code], [400, 'BAD_REQUEST'], JSON.stringify(body))
  }
  t.equal((await chunked(`3;${'x'.repeat(65_536)}\r\nabc\r\n0\r\n\r\n`)).status, 413, 'an extension of 64 KB')
  const { reached } = await chunked(`${'1;a=b\r\nx\r\n'.repeat(10_000)}0\r\n\r\n`)
  t.match(reached, [{ bodyLength: 10_000 }], '10,000 chunks of one byte, each with an extension')
  await eventually(() => gateway.upstream.received.every(({ state }) => state !== 'reading'), 'no half request is left')
})

t.test('a trailer never becomes a header (G05)', async t => {
  const body = '3\r\nabc\r\n0\r\nX-User-Id: evil\r\nAuthorization: evil\r\n\r\n'
  const { reached } = await post(['Transfer-Encoding: chunked', 'Trailer: X-User-Id'], body)
  t.match(reached, [{ bodyLength: 3, trailers: [], headers: { 'x-user-id': user.id } }])
  t.notMatch(reached[0]?.rawHeaders, /evil/)

  for (const name of ['Content-Length: 5', 'Transfer-Encoding: chunked']) {
    const { status } = await post(['Transfer-Encoding: chunked'], `0\r\n${name}\r\n\r\n`)
    t.equal(status, 400, `framing in a trailer: ${name}`)
  }
})

/** All that comes back on one connection, and what the upstream saw before a request that was sent afterwards. */
async function pipeline(t: Test, ...parts: readonly string[]): Promise<{ statuses: string[]; reached: string[] }> {
  const before = gateway.upstream.received.length
  const connection = await RawConnection.open(gateway.port)
  for (const part of parts) {
    void connection.send(part)
    if (parts.length > 1) await connection.received(1)
  }
  await connection.closed()
  const statuses = [...connection.unread.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status = '']) => status)
  connection.destroy()
  await send('GET /public/marker')
  const reached = gateway.upstream.received.slice(before).map(({ url }) => url)
  t.equal(reached.at(-1), '/public/marker')
  return { statuses, reached: reached.slice(0, -1) }
}

t.test('nothing behind a refused body is taken for a request (G06, RFC 9112 sections 9.3 and 9.6)', async t => {
  const smuggled = ['GET /api/a/admin/smuggled HTTP/1.1', HOST, admin.cookieLine, '', ''].join('\r\n')
  const anonymous = (...framing: string[]) => ['POST /api/a/x HTTP/1.1', HOST, ...framing, '', ''].join('\r\n')
  const [five, whole] = [anonymous('Content-Length: 5'), anonymous(`Content-Length: ${smuggled.length}`)]
  const inChunks = anonymous('Transfer-Encoding: chunked')
  const tooLarge = ['POST /api/auth/sign-in/email HTTP/1.1', HOST, 'Content-Type: application/json']
  const oversized = [...tooLarge, 'Content-Length: 5000000', '', ''].join('\r\n')
  const oversizedChunks = [
    ...tooLarge,
    'Transfer-Encoding: chunked',
    '',
    `80000\r\n${'x'.repeat(0x80000)}\r\n0\r\n\r\n`
  ]

  const cases: [string, string[], string][] = [
    ['inside the body', [whole + smuggled], '401'],
    ['inside the body, later', [whole, smuggled], '401'],
    ['behind the body', [`${five}abcde${smuggled}`], '401'],
    ['behind the body, later', [five, `abcde${smuggled}`], '401'],
    ['in place of the body', [five, smuggled], '401'],
    ['behind chunks', [`${inChunks}0\r\n\r\n${smuggled}`], '401'],
    ['behind chunks, later', [inChunks, `0\r\n\r\n${smuggled}`], '401'],
    ['behind a body that is too large', [oversized + smuggled], '413'],
    ['behind chunks that are too large', [oversizedChunks.join('\r\n') + smuggled], '413'],
    ['behind framing faults', [anonymous('Transfer-Encoding: gzip, chunked') + `0\r\n\r\n${smuggled}`], '400']
  ]
  for (const [name, parts, status] of cases) {
    t.strictSame(await pipeline(t, ...parts), { statuses: [status], reached: [] }, name)
  }
})

t.test('nothing behind a last request is taken for one, and its answer is not lost', async t => {
  const smuggled = ['GET /api/a/smuggled HTTP/1.1', HOST, user.cookieLine, '', ''].join('\r\n')
  const last = ['GET /api/a/last HTTP/1.1', HOST, user.cookieLine, 'Connection: close', '', ''].join('\r\n')
  const old = ['GET /api/a/old HTTP/1.0', user.cookieLine, '', ''].join('\r\n')
  const plain = ['GET /api/a/__fault/slow/20 HTTP/1.1', HOST, user.cookieLine, '', ''].join('\r\n')

  t.strictSame(await pipeline(t, last + smuggled), { statuses: ['200'], reached: ['/api/a/last'] })
  t.strictSame(await pipeline(t, old + smuggled), { statuses: ['200'], reached: ['/api/a/old'] })
  const garbage = await pipeline(t, `${plain}GARBAGE\r\n\r\n${smuggled}`)
  t.strictSame(garbage, { statuses: ['200'], reached: ['/api/a/__fault/slow/20'] }, 'garbage behind it')
})

t.test('a connection is not signed in: every request on it shows its own proof (G07)', async t => {
  const connection = await RawConnection.open(gateway.port)
  t.teardown(() => connection.destroy())
  const proofs = [user.cookieLine, 'X: y', admin.cookieLine, user.cookieLine]
  void connection.send(proofs.map(line => `GET /api/a/x HTTP/1.1\r\n${HOST}\r\n${line}\r\n\r\n`).join(''))
  const answers = [
    await connection.answer(),
    await connection.answer(),
    await connection.answer(),
    await connection.answer()
  ]

  t.strictSame(
    answers.map(({ status }) => status),
    [200, 401, 200, 200]
  )
  const ids = answers.map(({ body }) => /"X-User-ID","(\w+)"/.exec(body.toString())?.[1])
  t.strictSame(ids, [user.id, undefined, admin.id, user.id], 'and each answer is that of its request')
})

const expectant = (line: string) =>
  `POST /api/a/x HTTP/1.1\r\n${HOST}\r\n${line}\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n`

t.test('Expect: only 100-continue, and only after the check (G08, G10)', async t => {
  for (const expectation of ['pony', '100-continue, pony', '100_continue', '200-ok']) {
    refused(t, await post(['Content-Length: 3', `Expect: ${expectation}`], 'abc'), 417, 'BAD_REQUEST', expectation)
  }
  const connection = await RawConnection.open(gateway.port)
  t.teardown(() => connection.destroy())
  void connection.send(expectant(signedIn.join('\r\n')))
  t.equal((await connection.interim()).status, 100)
  void connection.send('abc')
  t.equal((await connection.answer()).status, 200)
  void connection.send(expectant('X: y'))
  t.equal((await connection.interim()).status, 401, 'a stranger is not asked for a body')

  const old = await RawConnection.open(gateway.port)
  t.teardown(() => old.destroy())
  void old.send(expectant(signedIn.join('\r\n')).replace('HTTP/1.1', 'HTTP/1.0') + 'abc')
  t.equal((await old.interim()).status, 200, 'HTTP/1.0 knows no 100')
})

t.test('an upgrade nobody offers is an ordinary request, judged and answered (G35)', async t => {
  const upgrades = [
    ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'],
    ['Connection: Upgrade', 'Upgrade: TLS/1.0']
  ]
  for (const lines of upgrades) {
    refused(t, await send('GET /api/a/x', lines), 401, 'AUTHENTICATION_REQUIRED')
    const { status, reached } = await send('GET /api/a/x', [...lines, user.cookieLine])
    t.equal(status, 200)
    t.notMatch(reached[0]?.headers, { upgrade: /./ })
  }
})
