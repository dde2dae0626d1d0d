/**
 * What a page of another site can do with the cookies of its visitor, and what it may read. Proxied routes; for
 * /api/auth see auth-requests.
 */
import t, { type Test } from 'tap'
import { type Outcome, refused, startAttack } from '../support/attack.js'

const APP = 'https://app.test'
const { gateway, send, user } = await startAttack(t, {
  env: { CORS_ORIGINS: `${APP},http://localhost:3000` },
  yaml: `
upstreams:
  a: { targets: [$UPSTREAM] }
  nowhere: { targets: ['http://127.0.0.1:1'] }
routes:
  - { name: a, path: /api/a/*, upstream: a, access: session }
  - { name: admin, path: /api/a/admin/*, upstream: a, access: { roles: [admin] } }
  - { name: hook, path: /hook/*, upstream: a, access: session, originCheck: false }
  - { name: optional, path: /optional/*, upstream: a, access: optional }
  - { name: public, path: /public/*, upstream: a, access: public }
  - { name: gone, path: /gone/*, upstream: nowhere, access: public }
  - { name: limited, path: /limited/*, upstream: a, access: public, rateLimit: { max: 1, window: 1h, by: ip } }
`
})

const FOREIGN = [
  'https://evil.test',
  'null',
  'https://app.test.evil.test',
  'https://app.testevil',
  'https://evil-app.test',
  'http://app.test',
  'https://app.test:444',
  'https://app.test/',
  'https://app.test.',
  'https://app.test@evil.test',
  `${APP}, https://evil.test`,
  'app.test',
  ''
]

t.test('a write with a cookie from a foreign page never arrives (E01, E02, E03, E06)', async t => {
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'PURGE', 'QUERY']) {
    for (const origin of FOREIGN) {
      const lines = [`Origin: ${origin}`, user.cookieLine, 'Content-Length: 0']
      refused(t, await send(`${method} /api/a/x`, lines), 403, 'ORIGIN_NOT_ALLOWED', `${method} ${origin}`)
    }
  }
  for (const lines of [['Sec-Fetch-Site: cross-site'], ['Sec-Fetch-Site: same-site'], [], [`Referer: ${APP}/`]]) {
    const outcome = await send('POST /api/a/x', [...lines, user.cookieLine, 'Content-Length: 0'])
    refused(t, outcome, 403, 'ORIGIN_NOT_ALLOWED', lines.join())
  }
  const two = ['Origin: https://evil.test', `Origin: ${APP}`, 'Sec-Fetch-Site: same-origin', user.cookieLine]
  refused(t, await send('POST /api/a/x', two), 403, 'ORIGIN_NOT_ALLOWED', 'two origins')
  const optional = await send('POST /optional/x', ['Origin: https://evil.test', user.cookieLine])
  refused(t, optional, 403, 'ORIGIN_NOT_ALLOWED', 'where a session is optional too')
})

t.test('no content type makes a foreign write harmless (E05)', async t => {
  for (const type of [
    'text/plain',
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded',
    'application/json'
  ]) {
    const lines = ['Origin: https://evil.test', `Content-Type: ${type}`, user.cookieLine, 'Content-Length: 2']
    refused(t, await send('POST /api/a/x', lines, '{}'), 403, 'ORIGIN_NOT_ALLOWED', type)
  }
})

t.test('our own pages write, and programs that send no cookie of a browser do (E04, E06)', async t => {
  const allowed = [
    [`Origin: ${APP}`, user.cookieLine],
    ['Origin: HTTPS://App.Test', user.cookieLine],
    [`Origin: ${gateway.origin}`, user.cookieLine],
    ['Sec-Fetch-Site: same-origin', user.cookieLine],
    ['Sec-Fetch-Site: none', user.cookieLine],
    [`Authorization: Bearer ${user.bearer}`],
    ['Origin: https://evil.test', `Authorization: Bearer ${user.bearer}`]
  ]
  for (const lines of allowed) {
    const { status, reached } = await send('POST /api/a/x', [...lines, 'Content-Length: 2'], '{}')
    t.equal(status, 200, lines.join(' | '))
    t.equal(reached.length, 1, lines.join(' | '))
  }
  t.equal((await send('POST /hook/x', [user.cookieLine])).status, 200, 'a route may waive the check')
  t.equal(
    (await send('POST /public/x', ['Origin: https://evil.test', user.cookieLine])).status,
    200,
    'nobody is signed in'
  )
})

t.test('a read from a foreign page arrives, and its answer is not for that page (E07)', async t => {
  for (const origin of FOREIGN) {
    const { status, answer } = await send('GET /api/a/x', [`Origin: ${origin}`, user.cookieLine])
    t.equal(status, 200, origin)
    notForThem(t, answer, origin)
  }
})

t.test('a preflight is answered here, without a cookie, and exactly (E08, E09, E10)', async t => {
  const ask = ['Access-Control-Request-Method: PUT', 'Access-Control-Request-Headers: x-a, content-type']
  const ours = await send('OPTIONS /api/a/x', [`Origin: ${APP}`, ...ask])
  t.equal(ours.status, 204)
  forUs(t, ours)
  t.match(ours.answer.header('access-control-allow-methods'), /\bPUT\b/)
  t.equal(ours.answer.header('access-control-allow-headers'), 'x-a, content-type')
  t.strictSame(ours.reached, [])

  for (const origin of FOREIGN) {
    const theirs = await send('OPTIONS /api/a/x', [`Origin: ${origin}`, user.cookieLine, ...ask])
    notForThem(t, theirs.answer, origin)
    t.strictSame(theirs.reached, [], origin)
  }
})

t.test('any other OPTIONS is a request: judged by its route, and forwarded', async t => {
  for (const lines of [[], [`Origin: ${APP}`], ['Access-Control-Request-Method: PUT']]) {
    const asked: [string, number][] = [
      ['OPTIONS /api/a/x', 401],
      ['OPTIONS /nothing', 404],
      ['OPTIONS /api/a/%2e%2e/x', 400]
    ]
    for (const [request, status] of asked) {
      const outcome = await send(request, lines)
      t.equal(outcome.status, status, request)
      t.strictSame(outcome.reached, [])
    }
    const outcome = await send('OPTIONS /api/a/x', [...lines, user.cookieLine])
    t.equal(outcome.status, 200)
    t.equal(outcome.reached.length, 1)
  }
})

t.test('refusals can be read by our pages: 401, 403, 404, 405, 429, 502 (E11)', async t => {
  await send('GET /limited/x')
  const asked: [string, number][] = [
    ['GET /api/a/x', 401],
    ['GET /api/a/admin', 403],
    ['GET /nothing', 404],
    ['GET /api/a//x', 400],
    ['GET /api/a/%zz', 400],
    ['GET /limited/x', 429],
    ['GET /gone/x', 502]
  ]
  for (const [request, status] of asked) {
    const credential = status === 403 ? [user.cookieLine] : []
    const outcome = await send(request, [`Origin: ${APP}`, ...credential])
    t.equal(outcome.status, status, request)
    forUs(t, outcome)
  }
})

t.test('an upstream’s own word on origins is not passed on (E12)', async t => {
  gateway.upstream.respond = (request, response) => {
    request.resume()
    const headers = { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Credentials': 'true', Vary: 'Accept' }
    response.writeHead(200, { ...headers, 'Access-Control-Expose-Headers': 'X-Secret' }).end('hi')
  }
  t.teardown(() => {
    gateway.upstream.respond = null
  })
  const ours = await send('GET /api/a/x', [`Origin: ${APP}`, user.cookieLine])
  forUs(t, ours)
  t.notMatch(ours.answer.header('access-control-expose-headers'), /secret/i)
  t.strictSame(ours.answer.all('vary').join(', ').split(', ').toSorted(), [
    'Accept',
    'Authorization',
    'Cookie',
    'Origin'
  ])
  notForThem(t, (await send('GET /api/a/x', ['Origin: https://evil.test', user.cookieLine])).answer, 'evil')
})

function forUs(t: Test, { answer }: Outcome): void {
  t.strictSame(answer.all('access-control-allow-origin'), [APP])
  t.strictSame(answer.all('access-control-allow-credentials'), ['true'])
  t.match(answer.all('vary').join(), /Origin/)
}

function notForThem(t: Test, answer: Outcome['answer'], origin: string): void {
  t.strictSame(answer.all('access-control-allow-origin'), [], origin)
  t.strictSame(answer.all('access-control-allow-credentials'), [], origin)
  t.match(answer.all('vary').join(), /Origin/, origin)
}
