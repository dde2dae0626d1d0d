/** What an error tells its reader: a code, a sentence, an id. Nothing about what is inside or behind the gateway. */
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { createPeerReader } from '../../src/edge/client-address.js'
import { begin } from '../../src/edge/begin.js'
import { replyWithErrors } from '../../src/edge/error-reply.js'
import { replyHeaders } from '../../src/edge/reply-headers.js'
import { refused, startAttack } from '../support/attack.js'
import { capturingLog } from '../support/log.js'
import { exchange } from '../support/raw-http.js'
import { rawAnswerPath } from '../support/upstream.js'

const { gateway, send, sendBytes, user } = await startAttack(t, {
  yaml: `
upstreams:
  a: { targets: [$UPSTREAM], timeout: { connect: 1s, headers: 1s, idle: 1s } }
  refused: { targets: ['http://127.0.0.1:1'] }
  unknown: { targets: ['http://nowhere.invalid:8000'] }
routes:
  - { name: a, path: /api/a/*, upstream: a, access: session }
  - { name: public, path: /public/*, upstream: a, access: public }
  - { name: refused, path: /refused/*, upstream: refused, access: public }
  - { name: unknown, path: /unknown/*, upstream: unknown, access: public }
`
})

t.test('an upstream that fails is named to nobody (G22, J06)', async t => {
  const cases: [string, number, string][] = [
    ['GET /refused/x', 502, 'UPSTREAM_UNREACHABLE'],
    ['GET /unknown/x', 502, 'UPSTREAM_UNREACHABLE'],
    ['GET /nothing/secret-place', 404, 'ROUTE_NOT_FOUND']
  ]
  for (const [request, status, code] of cases) refused(t, await send(request), status, code, request)

  const broken: [string, number, string][] = [
    ['/__fault/reset', 502, 'UPSTREAM_UNREACHABLE'],
    [rawAnswerPath('NOT HTTP\r\n\r\n', 'close'), 502, 'UPSTREAM_BAD_RESPONSE'],
    ['/__fault/hang', 504, 'UPSTREAM_TIMEOUT']
  ]
  for (const [fault, status, code] of broken) {
    const outcome = await send(`GET /public${fault}`)
    refused(t, { ...outcome, reached: [] }, status, code, fault)
  }
})

t.test('no answer tells what the gateway is made of (J09, ASVS 13.4.6)', async t => {
  const requests = [
    'GET /livez',
    'GET /nothing',
    'GET /api/a/x',
    'GET /api/a//x',
    'GET /api/auth/get-session',
    'GET /refused/x'
  ]
  for (const request of requests) {
    const { answer } = await send(request, [user.cookieLine])
    t.notMatch(answer.rawHeaders.join('\n'), /fastify|node|undici|better-?auth\/|express|powered|\bserver\b/i, request)
  }
  t.notMatch((await sendBytes('NONSENSE\r\n\r\n')).answer.rawHeaders.join('\n'), /fastify|node|server/i)
})

t.test('what the gateway answers itself is neither sniffed, framed nor kept (J10)', async t => {
  for (const request of [
    'GET /nothing',
    'GET /api/a/x',
    'POST /api/a/%zz',
    'GET /api/auth/nothing',
    'GET /refused/x'
  ]) {
    const { answer } = await send(request, ['Content-Length: 0'])
    t.equal(answer.header('x-content-type-options'), 'nosniff', request)
    t.equal(answer.header('referrer-policy'), 'no-referrer', request)
    t.match(answer.header('content-security-policy'), /frame-ancestors 'none'/, request)
    t.equal(answer.header('cache-control'), 'no-store', request)
    t.equal(answer.header('strict-transport-security'), undefined, 'http promises no https')
  }
})

t.test('RFC 9457 for who asks for it, with nothing more in it', async t => {
  const { answer } = await send('GET /api/a/x', ['Accept: application/problem+json, */*;q=0.1'])
  t.equal(answer.header('content-type'), 'application/problem+json')
  t.strictSame(JSON.parse(answer.body.toString()), {
    type: 'about:blank',
    title: 'Unauthorized',
    status: 401,
    detail: 'Sign in first.',
    code: 'AUTHENTICATION_REQUIRED',
    requestId: answer.header('x-request-id')
  })
})

t.test('an error has no body for HEAD, and its length all the same', async t => {
  const { answer } = await send('HEAD /api/a/x')
  t.equal(answer.status, 401)
  t.equal(answer.body.length, 0)
})

t.test('every id of an answer is found in the log, refusals before routing too', async t => {
  const requests = [
    'GET /api/a/x',
    'GET /nothing',
    'GET /api/a//x',
    'GET /api/a/%zz',
    'GET http://evil.test/x',
    'GET /api/auth/%'
  ]
  for (const request of requests) {
    const { answer, status } = await send(request)
    const lines = gateway.log.filter(({ requestId }) => requestId === answer.header('x-request-id'))
    t.match(lines, [{ status, granted: false, reason: /./ }], request)
  }
})

const SECRET = 'postgres://gateway:s3cret@10.1.2.3/auth token=abc ada@example.com'

/** The gateway's edge around handlers that break. */
async function startBroken(): Promise<{ port: number; text: () => string }> {
  const { log, text } = capturingLog()
  const app: FastifyInstance = Fastify({ loggerInstance: log, genReqId: () => '' })
  await app.register(begin, { readPeer: createPeerReader([]), isClosing: () => false, overload: { admit() {} } })
  await app.register(replyHeaders, { https: true, isDraining: () => false })
  replyWithErrors(app)
  const failures: Readonly<Record<string, unknown>> = {
    error: new Error(SECRET),
    string: SECRET,
    null: null,
    undefined: undefined,
    number: 42,
    object: { message: SECRET, statusCode: 200 },
    statusCode: Object.assign(new Error(SECRET), { statusCode: 418 }),
    nonsense: Object.assign(new Error(SECRET), { statusCode: 'x' }),
    cause: new Error('outer', { cause: new Error(SECRET) })
  }
  for (const [name, failure] of Object.entries(failures)) {
    app.get(`/throws/${name}`, () => {
      throw failure
    })
    app.get(`/rejects/${name}`, () => Promise.reject(failure))
  }
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  return { port: (app.server.address() as AddressInfo).port, text }
}

t.test('a bug is a 500 that says nothing, whatever is thrown (J02)', async t => {
  const { port, text } = await startBroken()
  const names = ['error', 'string', 'null', 'undefined', 'number', 'object', 'nonsense', 'cause', 'statusCode']
  for (const name of names) {
    for (const way of ['throws', 'rejects']) {
      const [answer] = await exchange(port, `GET /${way}/${name} HTTP/1.1\r\nHost: gw.test\r\n\r\n`)
      const status = name === 'statusCode' ? 418 : 500
      const code = status === 500 ? 'INTERNAL_ERROR' : 'BAD_REQUEST'
      t.match(
        { status: answer.status, body: JSON.parse(answer.body.toString()) },
        { status, body: { code } },
        `${way} ${name}`
      )
      t.notMatch(answer.body.toString() + answer.rawHeaders.join(), /s3cret|10\.1\.2\.3|ada@/, `${way} ${name}`)
    }
  }
  t.notMatch(text(), /s3cret|ada@example/, 'nor does the log')
  t.match(text(), /internal error/)
  for (const line of text()
    .split('\n')
    .filter(each => each.includes('internal error'))) {
    t.match(JSON.parse(line), { requestId: /^[0-9a-f-]{36}$/ }, 'whoever reads it finds the request')
  }
})
