/**
 * What an upstream's bytes are taken for. Node's own parser (llhttp) is the model: whatever we take for an answer, it
 * must take for the same one, or there would be two readings of one message.
 */
import { createRequire } from 'node:module'
import { array, assert, constantFrom, type Arbitrary, nat, oneof, property, record, string, tuple } from 'fast-check'
import t from 'tap'
import { AnswerParser } from '../../../src/upstream/answer-parser.js'
import { RUNS } from '../../support/runs.js'

interface Read {
  readonly status: number
  readonly headers: readonly string[]
  readonly body: string
  readonly keepsAlive: boolean
  /** What is left of the bytes behind the answer. */
  readonly rest: string
  readonly complete: boolean
}

/** Null: refused. `ends`: the connection is closed behind the bytes. */
function read(pieces: readonly Buffer[], method: string, ends = true): Read | null {
  let [status, headers, body, rest] = [0, [] as string[], '', '']
  const parser = new AnswerParser({
    onHead: (number, list) => {
      status = number
      headers = list
    },
    onBody: piece => {
      body += piece.toString('latin1')
    }
  })
  parser.begin(method, false)
  try {
    for (const piece of pieces) {
      const used = parser.done ? 0 : parser.push(piece)
      rest += piece.toString('latin1', used)
    }
    if (ends && !parser.done) parser.end()
  } catch {
    return null
  }
  return { status, headers, body, keepsAlive: parser.keepsAlive, rest, complete: parser.done }
}

const whole = (text: string) => [Buffer.from(text, 'latin1')]
const get = (text: string) => read(whole(text), 'GET')

/** Node's parser, by the interface that its http module uses. */
interface NodeParser {
  [event: number]: (...args: never[]) => unknown
  initialize: (type: number, resource: object) => void
  execute: (bytes: Buffer) => number | Error
  finish: () => undefined | Error
}
const { HTTPParser } = createRequire(import.meta.url)('_http_common') as {
  HTTPParser: (new () => NodeParser) &
    Readonly<Record<'RESPONSE' | 'kOnHeadersComplete' | 'kOnBody' | 'kOnMessageComplete', number>>
}

/** The same by Node: null where it finds a fault in what it reads as the answer. */
function readByNode(text: string, method: string): Read | null {
  let [status, headers, body, keepsAlive, complete] = [0, [] as string[], '', false, false]
  const parser = new HTTPParser()
  parser.initialize(HTTPParser.RESPONSE, {})
  parser[HTTPParser.kOnHeadersComplete] = (
    ...[, , list, , , number, , , keepAlive]: [0, 0, string[], 0, 0, number, 0, 0, boolean]
  ) => {
    if (complete || number < 200) return 0
    status = number
    headers = list
    keepsAlive = keepAlive
    return method === 'HEAD' ? 1 : 0
  }
  parser[HTTPParser.kOnBody] = (piece: Buffer) => {
    if (!complete) body += piece.toString('latin1')
  }
  parser[HTTPParser.kOnMessageComplete] = () => {
    complete ||= status !== 0
  }
  const result = parser.execute(Buffer.from(text, 'latin1'))
  if (!(result instanceof Error)) parser.finish()
  if (result instanceof Error && !complete) return null
  return { status, headers, body, keepsAlive, rest: '', complete }
}

/** Good and bad ones of a kind, apart by a bar. */
const oneOf = (...lists: readonly string[]) => constantFrom(...lists.flatMap(list => list.split('|')))

const statusLine = oneOf(
  'HTTP/1.1 200 OK|HTTP/1.1 200|HTTP/1.1 200 |HTTP/1.0 200 OK|HTTP/1.1 204 No Content|HTTP/1.1 304 Not Modified',
  'HTTP/1.1 500 \xe9|HTTP/1.1 999 X|HTTP/1.1 205 Reset Content|HTTP/1.1 099 Low|HTTP/1.1 2000 OK|HTTP/1.2 200 OK',
  'HTTP/2.0 200 OK|HTP/1.1 200 OK|http/1.1 200 OK|HTTP/1.1  200 OK| HTTP/1.1 200 OK|HTTP/1.1\t200 OK|HTTP/1.1 20 OK',
  'HTTP/1.1 200\x00|HTTP/1.1 200 a\rb'
)
const field = oneOf(
  "A: b|A:b|A:\t b \t|A:|Set-Cookie: x=1|Set-Cookie: y=2|A: \xe9|!#$%&'*+-.^_`~9: x|Connection: close",
  'Connection: keep-alive|connection: X, close|Keep-Alive: timeout=5|A : b|A\t: b|: b|A| A: b|A: b\x00|A: b\x7f',
  'A: b\rc|A: b\nc|A\xe9: b|A: b\r\n c|(: b'
)
const framing = oneOf(
  'Content-Length: 5|Content-Length: 0|content-length: 3|Transfer-Encoding: chunked|A: b|Transfer-Encoding: Chunked',
  'Transfer-Encoding: chunked, chunked|Transfer-Encoding: gzip, chunked|Content-Length: +5|Content-Length: 5, 5',
  'Content-Length: 0x5|Content-Length:|Content-Length: 5 5|Content_Length: 2|Transfer-Encoding : chunked',
  'Transfer-Encoding: identity|Content-Length: 9999999999999999'
)
const chunk = oneOf(
  '5\r\nhello\r\n|3\r\nabc\r\n|0005\r\nhello\r\n|A\r\n0123456789\r\n|a;x=y\r\n0123456789\r\n|1;\r\nx\r\n|5 \r\nhello\r\n',
  '5\nhello\r\n|5\r\nhelloX\r\n|g\r\n|\r\n|-5\r\nhello\r\n|0x5\r\nhello\r\n|5\r\nhello\n|ffffffffffffffff\r\n',
  '5;a;b=c;d="x y"\r\nhello\r\n|5;a=\r\nhello\r\n|5; a\r\nhello\r\n|5;a="b\\"c"\r\nhello\r\n|5;a="b"x\r\nhello\r\n',
  '5;=b\r\nhello\r\n|5;a b\r\nhello\r\n|5;a=b=c\r\nhello\r\n|5;a="b\r\nhello\r\n|5;a="\xe9"\r\nhello\r\n',
  '5;a;;b\r\nhello\r\n|5;a\nb\r\nhello\r\n|5;\x00\r\nhello\r\n'
)
const lastChunk = oneOf(
  '0\r\n\r\n|0\r\nT: x\r\n\r\n|000\r\n\r\n|0;x\r\n\r\n|0\r\n||0\r\n\n|0\r\nT: \x00\r\n\r\n|0\r\nT: x\r\nU: y\r\n\r\n',
  '0\r\nT x\r\n\r\n|0\r\nContent-Length: 1\r\n\r\n|0\r\n T: x\r\n\r\n|0\r\nT: x\n\r\n|0\r\nT : x\r\n\r\n'
)
const interim = constantFrom(
  '',
  '',
  '',
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
)
const body = oneof(
  constantFrom('', 'hello', 'hel', 'hello, and more'),
  tuple(array(chunk, { maxLength: 4 }), lastChunk).map(([chunks, last]) => chunks.join('') + last)
)
const lineEnd = constantFrom('\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r', '\r\n\r\n')
const behind = constantFrom('', '', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx', 'garbage', '\r\n')

const answer: Arbitrary<string> = record({
  interim,
  statusLine,
  fields: array(oneof({ weight: 5, arbitrary: constantFrom('A: b', 'B: c', 'Connection: close') }, field), {
    maxLength: 3
  }),
  framing: array(framing, { maxLength: 2 }),
  lineEnd,
  body,
  behind
}).map(made => {
  const lines = [made.statusLine, ...made.fields, ...made.framing]
  return `${made.interim}${lines.join('\r\n')}${made.lineEnd}\r\n${made.body}${made.behind}`
})

const method = constantFrom('GET', 'GET', 'GET', 'HEAD')

t.test('whatever is taken for an answer is the answer that Node reads (G24)', async t => {
  let taken = 0
  const agrees = property(
    oneof({ weight: 9, arbitrary: answer }, { weight: 1, arbitrary: string({ unit: 'binary' }) }),
    method,
    (text, asked) => {
      const ours = read(whole(text), asked)
      if (ours === null || ours.status === 0) return true
      taken++
      const node = readByNode(text, asked)
      if (node === null || node.status !== ours.status || node.complete !== ours.complete) return false
      if (JSON.stringify(node.headers) !== JSON.stringify(ours.headers) || node.body !== ours.body) return false
      // We may close a connection that Node would keep, never the other way round. After HEAD nobody asks.
      return !ours.complete || node.keepsAlive || !ours.keepsAlive || asked === 'HEAD'
    }
  )

  t.doesNotThrow(() => assert(agrees, { numRuns: RUNS }))
  t.ok(taken > RUNS / 20, `${taken} of ${RUNS} were answers`)
})

t.test('however the network cuts an answer, it is the same one', async t => {
  const agrees = property(answer, method, array(nat(300), { maxLength: 6 }), (text, asked, cuts) => {
    const bytes = Buffer.from(text, 'latin1')
    const ends = [...cuts.filter(cut => cut < bytes.length).toSorted((a, b) => a - b), bytes.length]
    const pieces = ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end))
    const each = Array.from(bytes, byte => Buffer.of(byte))
    const expected = JSON.stringify(read([bytes], asked))
    return JSON.stringify(read(pieces, asked)) === expected && JSON.stringify(read(each, asked)) === expected
  })

  t.doesNotThrow(() => assert(agrees, { numRuns: RUNS / 4 }))
})

t.test('a body ends where RFC 9112 section 6.3 says', async t => {
  const cases: [string, string, Partial<Read>][] = [
    ['GET', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', { body: 'hello', keepsAlive: true, rest: '' }],
    ['GET', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP', { body: 'hello', rest: 'HTTP' }],
    ['GET', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx', { body: '', rest: 'x' }],
    ['GET', 'HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello', { body: '', rest: 'hello' }],
    ['GET', 'HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n5', { body: '', rest: '5' }],
    ['GET', 'HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n', { complete: true, keepsAlive: false }],
    ['GET', 'HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n', { complete: true, keepsAlive: true }],
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', { body: '', rest: '', complete: true }],
    ['GET', 'HTTP/1.1 200 OK\r\n\r\nto the end', { body: 'to the end', keepsAlive: false, complete: true }],
    ['GET', 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nto the end', { body: 'to the end', keepsAlive: false }],
    ['GET', 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx', { keepsAlive: true }],
    ['GET', 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx', { keepsAlive: false }],
    ['GET', 'HTTP/1.1 200 OK\r\nConnection: a, Close\r\nContent-Length: 1\r\n\r\nx', { keepsAlive: false }],
    [
      'GET',
      'HTTP/1.1 103 Hi\r\nA: b\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx',
      { status: 200 }
    ],
    [
      'GET',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a="b"\r\nabc\r\n0\r\nT: x\r\n\r\nrest',
      { body: 'abc', rest: 'rest' }
    ]
  ]
  for (const [asked, text, expected] of cases) t.match(read(whole(text), asked), expected, JSON.stringify(text))
})

t.test('what can be no answer any more is refused before the rest has come', async t => {
  for (const text of [
    'HTTQ',
    'SSH-2.0-OpenSSH',
    'HTTP/1.1 200 OK\nA: b\n\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n'
  ]) {
    t.equal(read(whole(text), 'GET', false), null, JSON.stringify(text))
  }
})

t.test('an answer that is not over is none, however the connection ends', async t => {
  for (const text of [
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n',
    'HTTP/1.1 200 OK\r\nA: b\r\n',
    'HTTP/1.1 100 Continue\r\n\r\n',
    ''
  ]) {
    t.equal(get(text)?.complete, false, JSON.stringify(text))
  }
})

t.test('a 101 nobody asked for is refused; one that was asked for ends HTTP', async t => {
  const text = 'HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\nframes'
  t.equal(get(text), null)

  const heads: [number, string[]][] = []
  const parser = new AnswerParser({ onHead: (...head) => heads.push(head), onBody: () => t.fail('no body') })
  parser.begin('GET', true)
  t.equal(parser.push(Buffer.from(text)), text.length - 'frames'.length)
  t.ok(parser.done && parser.switched)
  t.strictSame(heads, [[101, ['Upgrade', 'websocket']]])
})

t.test('nothing grows without bound', async t => {
  const ok = 'HTTP/1.1 200 OK\r\n'
  const chunked = `${ok}Transfer-Encoding: chunked\r\n\r\n`
  t.equal(get(`${ok}A: ${'x'.repeat(17_000)}\r\n\r\n`), null, 'a head')
  t.equal(get(`${ok}A: ${'x'.repeat(17_000)}`), null, 'a head without end')
  t.equal(get(`${chunked}1;${'x'.repeat(5000)}\r\nx\r\n`), null, 'a chunk extension')
  t.equal(get(`${chunked}${'0'.repeat(20)}1\r\nx\r\n`), null, 'a chunk size')
  t.equal(get(`${chunked}0\r\n${'A: b\r\n'.repeat(5000)}\r\n`), null, 'trailers')
  t.equal(get(`${ok}A: ${'x'.repeat(16_000)}\r\nContent-Length: 0\r\n\r\n`)?.complete, true)
})

t.test('how long the upstream keeps a connection is what it says', async t => {
  const cases = { 'timeout=5': 5000, 'max=9, timeout=7': 7000, 'TIMEOUT = "3"': 3000, 'max=5': null, x: null }
  for (const [value, expected] of Object.entries(cases)) {
    const parser = new AnswerParser({ onHead: () => {}, onBody: () => {} })
    parser.begin('GET', false)
    parser.push(Buffer.from(`HTTP/1.1 200 OK\r\nKeep-Alive: ${value}\r\nContent-Length: 0\r\n\r\n`))
    t.equal(parser.keepAliveMs, expected, value)
  }
})
