/**
 * One target goes in, one is decided on, one comes out: thousands of spellings through the whole gateway, and the bytes
 * that a raw socket gets behind it. What the log says was decided on must be what was sent, and what was asked for.
 */
import { array, constantFrom, oneof, sample, tuple } from 'fast-check'
import { type AddressInfo, createServer } from 'node:net'
import t from 'tap'
import { startGateway } from '../support/gateway.js'
import { RawConnection } from '../support/raw-http.js'
import { RUNS } from '../support/runs.js'

const REQUESTS = RUNS / 40
const CONNECTIONS = 20

/** Request lines by request id, as they came over the wire. */
const sent = new Map<string, string[]>()
const server = createServer(socket => {
  let unread = ''
  socket.on('error', () => {})
  socket.setEncoding('latin1').on('data', (text: string) => {
    const heads = (unread + text).split('\r\n\r\n')
    unread = heads.pop() ?? ''
    for (const head of heads) {
      const [line = '', ...lines] = head.split('\r\n')
      const id = lines.find(each => each.startsWith('x-request-id: '))?.slice(14) ?? 'none'
      sent.set(id, [...(sent.get(id) ?? []), line])
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    }
  })
})
await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
t.teardown(() => server.close())

/** Less what is cut, by route. The admins' route is beside the open ones in every way a path can be. */
const STRIPPED: Readonly<Record<string, string>> = { one: '/one', two: '', deep: '/deep/er', exact: '' }
const gateway = await startGateway(t, {
  redis: false,
  yaml: `
upstreams:
  raw: { targets: ['http://127.0.0.1:${(server.address() as AddressInfo).port}'] }
routes:
  - { name: admin, path: /one/admin/*, upstream: raw, access: { roles: [admin] } }
  - { name: one, path: /one/*, upstream: raw, stripPrefix: /one, access: public }
  - { name: two, path: /two/x/*, upstream: raw, access: public }
  - { name: deep, path: /deep/er/*, upstream: raw, stripPrefix: /deep/er, access: public }
  - { name: exact, path: /one/exact, upstream: raw, access: public }
`
})

const start = constantFrom(
  '/one',
  '/one',
  '/two/x',
  '/two',
  '/deep/er',
  '/deep',
  '/one/admin',
  '/%6fne',
  '/one/exact',
  ''
)
const piece = oneof(
  {
    weight: 5,
    arbitrary: constantFrom('/', '/a', '/x', 'x', 'b.json', '-', '~', ':@', '!$&', '/admin', '/Admin', '%41')
  },
  {
    weight: 3,
    arbitrary: constantFrom('%7e', '%c3%a9', '%20', '%2B', '%3f', '%23', '%e2%82%ac', '%61dmin', '%26', '+')
  },
  {
    weight: 1,
    arbitrary: constantFrom('..', '/..', '/.', '//', '%2e', '%2f', '%25', '%', '%zz', ';', '\\', '%00', '%ff', '"')
  }
)
const query = oneof(
  { weight: 2, arbitrary: constantFrom('') },
  constantFrom('?', '?a=%2f..&b', '??', '?%zz', '?é=;\\"|{}')
)
const target = tuple(start, array(piece, { maxLength: 5 }), query).map(
  ([start, pieces, query]) => start + pieces.join('') + query.replace('é', '%e9')
)
const form = constantFrom('', '', '', `http://localhost:${gateway.port}`)
const request = tuple(constantFrom('GET', 'GET', 'DELETE', 'PROPFIND'), form, target)

/** As the most forgiving server would read it. */
const ADMIN = /^\/one\/admin\s*(?:[/.?#]|$)/i

type Asked = readonly [method: string, form: string, target: string]

async function converse(asked: readonly Asked[]): Promise<{ asked: Asked; id: string; status: number }[]> {
  let connection = await RawConnection.open(gateway.port)
  const answers: { asked: Asked; id: string; status: number }[] = []
  for (const each of asked) {
    const [method, form, target] = each
    void connection.send(`${method} ${form}${target} HTTP/1.1\r\nHost: localhost:${gateway.port}\r\n\r\n`)
    const answer = await connection.answer()
    answers.push({ asked: each, id: answer.header('x-request-id') ?? '', status: answer.status })
    if (answer.header('connection')?.toLowerCase() !== 'close') continue
    // A target that Node's parser refuses ends the connection.
    connection.destroy()
    connection = await RawConnection.open(gateway.port)
  }
  connection.destroy()
  return answers
}

function split(target: string): [path: string, query: string] {
  const at = target.indexOf('?')
  return at < 0 ? [target, ''] : [target.slice(0, at), target.slice(at)]
}

t.test(`of ${REQUESTS} requests, what was decided on is what was sent, byte for byte (A01, A18)`, async t => {
  const all = sample(request, REQUESTS).filter(([, form, target]) => form !== '' || target.startsWith('/'))
  const shares = Array.from({ length: CONNECTIONS }, (_, i) => all.filter((_, j) => j % CONNECTIONS === i))
  const answers = (await Promise.all(shares.map(converse))).flat()
  const decided = new Map(gateway.log.map(line => [String(line['requestId']), line]))

  let passed = 0
  for (const { asked, id, status } of answers) {
    const [method, , target] = asked
    const [path, query] = split(target)
    const line = decided.get(id)
    const lines = sent.get(id) ?? []
    if (status !== 200) {
      if (lines.length > 0) t.fail(`${target} was answered ${status} and sent`, { lines })
      continue
    }
    passed++
    const judged = String(line?.['path'])
    const cut = STRIPPED[String(line?.['route'])]
    const expected = `${method} ${judged.slice(cut?.length) || '/'}${query} HTTP/1.1`
    if (cut === undefined || lines.length !== 1 || lines[0] !== expected) t.fail(target, { line, lines, expected })
    if (decodeURIComponent(judged) !== decodeURIComponent(path)) t.fail(`${target} became ${judged}`)
    if (ADMIN.test(decodeURIComponent(judged))) t.fail(`${target} went where admins go`, { line })
  }
  t.ok(passed > REQUESTS / 5 && passed < REQUESTS * 0.9, `${passed} were sent`)
  t.notOk(sent.has('none'), 'each with its id')
})
