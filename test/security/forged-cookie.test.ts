/** Credentials nobody was given: what each of them gets, and that it costs PostgreSQL and Redis nothing. */
import { createHash, randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { hashToken } from '../../src/session/session.js'
import { signToken } from '../../src/session/credential.js'
import { type Outcome, person, refused, startAttack, valuesOf } from '../support/attack.js'
import { eventually } from '../support/eventually.js'
import { post, ROUTES, SECRET } from '../support/gateway.js'
import { watchTraffic } from '../support/traffic.js'

const OLDER = 'an-older-secret-of-32-characters-or-more'
const NAME = 'better-auth.session_token'
const { gateway, send, user, admin } = await startAttack(t, {
  yaml: `${ROUTES}  - { name: open, path: /open/*, upstream: b, access: public }\n`,
  env: { SESSION_LOCAL_LEASE: '0' }
})
const traffic = await watchTraffic(t, gateway)
const [token = '', signature = ''] = user.bearer.split('.')
const encoded = user.cookie.slice(NAME.length + 1)

const withCookie = (value: string) => send('GET /api/a/x', [`Cookie: ${NAME}=${value}`])

function isForged(t: Test, outcome: Outcome, message: string): void {
  refused(t, outcome, 401, 'INVALID_SESSION', message)
  t.equal(outcome.answer.header('www-authenticate'), 'Bearer realm="session-gateway", error="invalid_token"', message)
}

/** Look-ups only: the feed of revocations reads its own tables and keys all the time. */
async function lookups(): Promise<{ sql: string[]; redis: string[] }> {
  const [statements, commands] = [await traffic.statements(), await traffic.commands()]
  return {
    sql: statements.filter(line => line.includes('from "auth"."session"')),
    redis: commands.filter(command => /^eval.*\{sg\}:alive.*[0-9a-f]{64}/s.test(command))
  }
}

const FORGED: Readonly<Record<string, string>> = {
  'C03 encoded twice': encodeURIComponent(encoded),
  'C04 no signature': token,
  'C05 signature of another token': `${token}.${admin.bearer.split('.')[1]}`,
  'C05 last byte changed': `${token}.${signature.slice(0, -2)}${signature.at(-2) === 'A' ? 'E' : 'A'}=`,
  'C05 one byte short': user.bearer.slice(0, -1),
  'C05 empty signature': `${token}.`,
  'C05 empty token': `.${signature}`,
  'C05 token of another': `${admin.bearer.split('.')[0]}.${signature}`,
  'C05 signed with another secret': encodeURIComponent(signToken(token, `${SECRET}!`)),
  'C07 url-safe alphabet': `${token}.${signature.replaceAll('+', '-').replaceAll('/', '_').replace('=', '')}`,
  'C07 no padding': `${token}.${signature.replace('=', '')}`,
  'C07 more padding': `${token}.${signature}=`,
  'C07 hex': `${token}.${Buffer.from(signature, 'base64').toString('hex')}`,
  'C14 bad escape': `${token}.%zz`,
  'C14 lone percent': '%',
  'C14 encoded NUL': `${token}%00.${encodeURIComponent(signature)}`,
  'C14 bytes above 0x7f': '\x80\xff.\xfe',
  'C14 not UTF-8': '%ff%fe.%c0%ae',
  'C15 4 KB': 'x'.repeat(4096),
  'C15 15 KB': 'x'.repeat(15_000),
  'C17 key characters': `*?[a]${encodeURIComponent('\n\0')}.${encodeURIComponent(signature)}`,
  'C17 10 KB': `${'*'.repeat(10_000)}.${encodeURIComponent(signature)}`,
  'SQL in the token': encodeURIComponent(`' or 1=1 --.${signature}`),
  'algorithm none': 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.',
  'quotes in it': `"${token}".${encodeURIComponent(signature)}`,
  true: 'true'
}

t.test('the cookie as it was set opens the door (C01)', async t => {
  for (const value of [encoded, user.bearer]) t.equal((await withCookie(value)).status, 200, value)
})

t.test('a forged credential is a 401 that costs no query and no command (C03-C05, C07, C14, C15, C17)', async t => {
  await eventually(async () => (await lookups()).sql.length === 0, 'earlier look-ups are in the books')
  for (const [name, value] of Object.entries(FORGED)) {
    isForged(t, await withCookie(value), name)
    if (!/[\x80-\xff]/.test(value))
      isForged(t, await send('GET /api/a/x', [`Authorization: Bearer ${value}`]), `bearer ${name}`)
    const strict = await send('GET /api/strict/x', [`Cookie: ${NAME}=${value}`])
    isForged(t, strict, `strict ${name}`)
  }
  t.strictSame(await lookups(), { sql: [], redis: [] })

  await withCookie(encoded)
  t.not((await lookups()).redis.length, 0, 'a real one is seen in the books')
})

t.test('what needs no session costs none: no route, a bad path, a public route, a foreign page', async t => {
  await eventually(async () => (await lookups()).redis.length === 0, 'earlier look-ups are in the books')
  for (const request of [
    'GET /nothing',
    'GET /api/a//x',
    'GET /public/x',
    'DELETE /posts/x',
    'GET /livez'
  ]) {
    await send(request, [user.cookieLine])
  }
  for (const origin of ['http://localhost:3000', 'https://evil.test']) {
    const preflight = [`Origin: ${origin}`, 'Access-Control-Request-Method: PUT']
    await send('OPTIONS /api/a/x', [...preflight, user.cookieLine])
  }
  await send('POST /api/a/x', ['Origin: https://evil.test', user.cookieLine])
  t.strictSame(await lookups(), { sql: [], redis: [] })
})

t.test('a control byte in a cookie ends at the parser (C14)', async t => {
  for (const byte of ['\x00', '\x7f', '\x1f', '\n']) {
    refused(t, await withCookie(`a${byte}b`), 400, 'BAD_REQUEST', JSON.stringify(byte))
  }
})

t.test('a good signature under an unknown token asks the database once and fills nothing (C06)', async t => {
  const unknown = signToken(randomBytes(16).toString('hex'), SECRET)
  await lookups()
  isForged(t, await withCookie(encodeURIComponent(unknown)), 'unknown')
  t.equal((await lookups()).sql.length, 1)

  const redis = new Redis(gateway.redis?.url ?? '')
  t.teardown(() => redis.disconnect())
  t.equal(await redis.exists(`{sg}:s:${hashToken(unknown.split('.')[0] ?? '')}`), 0)
})

t.test('no token is in Redis, in a key or a value (C17)', async t => {
  const redis = new Redis(gateway.redis?.url ?? '')
  t.teardown(() => redis.disconnect())
  await withCookie(encoded)
  const hash = createHash('sha256').update(token).digest('hex')
  await eventually(async () => (await redis.exists(`{sg}:s:${hash}`)) === 1, 'the session is cached under its hash')

  for (const key of await redis.keys('*')) {
    const value = await redis.dump(key)
    t.notOk(key.includes(token) || value?.includes(token), key)
  }
})

t.test(
  'forged, unknown, expired, revoked and banned look the same; only the log knows (contract section 6)',
  async t => {
    const [expired, revoked, banned] = [await person(gateway), await person(gateway), await person(gateway)]
    await gateway.sql`update auth.session set expires_at = now() - interval '1 second' where user_id = ${expired.id}`
    await post(gateway, '/api/auth/sign-out', {}, { cookie: revoked.cookie })
    await gateway.sql`update auth."user" set banned = true where id = ${banned.id}`

    const unknown = `Cookie: ${NAME}=${encodeURIComponent(signToken('x'.repeat(32), SECRET))}`
    const lines = [`Cookie: ${NAME}=x.y`, unknown, expired.cookieLine, revoked.cookieLine, banned.cookieLine]
    for (const line of lines) {
      await eventually(async () => (await send('GET /api/a/x', [line])).status === 401, 'what SQL changed is in force')
    }
    const answers = new Set<string>()
    for (const line of lines) {
      const outcome = await send('GET /api/a/x', [line])
      isForged(t, outcome, line)
      const { rawHeaders, body } = outcome.answer
      const id = outcome.answer.header('x-request-id') ?? ''
      answers.add(`${rawHeaders.join('\n')}${body.toString()}`.replaceAll(id, '').replace(/\w{3}, \d+ .* GMT/, ''))
    }

    t.equal(answers.size, 1, [...answers].join('\n\n'))
    const reasons = gateway.log.filter(line => line['path'] === '/api/a/x').slice(-5)
    t.ok(new Set(reasons.map(line => line['reason'])).size > 1, 'reasons in the log differ')
  }
)

t.test('one name counts, to the byte, and of two the first (C08, C09, C10, C11, C12)', async t => {
  const good = `${NAME}=${encoded}`
  const cases: [string, string[], number][] = [
    ['good first', [`Cookie: ${good}; ${NAME}=bad.bad`], 200],
    ['bad first', [`Cookie: ${NAME}=bad.bad; ${good}`], 401],
    ['two lines', ['Cookie: theme=dark', `Cookie: ${good}`], 200],
    ['two lines, bad first', [`Cookie: ${NAME}=bad.bad`, `Cookie: ${good}`], 401],
    ['__Secure- on a plain gateway', [`Cookie: __Secure-${good}`], 401],
    ['__Host- on a plain gateway', [`Cookie: __Host-${good}`], 401],
    ['both names', [`Cookie: __Secure-${NAME}=bad.bad; ${good}`], 200],
    ['another case', [`Cookie: ${good.toUpperCase()}`], 401],
    ['a space before =', [`Cookie: ${NAME} =${encoded}`], 401],
    ['no name', [`Cookie: =${encoded}`], 401],
    ['no value', [`Cookie: ${NAME}`], 401],
    ['an empty value', [`Cookie: ${NAME}=`], 401],
    ['in another cookie’s value', [`Cookie: x=${good}`], 401],
    ['with a comma', [`Cookie: theme=dark, ${good}`], 401],
    ['10,000 semicolons', [`Cookie: ${';'.repeat(10_000)}${good}`], 200],
    ['200 cookies', [`Cookie: ${Array.from({ length: 200 }, (_, i) => `c${i}=v`).join('; ')}; ${good}`], 200],
    ['underscores for dashes', [`Cookie: better_auth.session_token=${encoded}`], 401],
    ['session_data', [`Cookie: better-auth.session_data=${encoded}`], 401]
  ]
  for (const [name, lines, status] of cases) {
    const outcome = await send('GET /api/a/x', lines)
    t.equal(outcome.status, status, name)
    t.equal(outcome.reached.length, status === 200 ? 1 : 0, name)
  }
})

t.test('a token in the URL is no credential (C18)', async t => {
  const names = ['token', 'session_token', 'access_token', NAME]
  for (const name of names) {
    refused(t, await send(`GET /api/a/x?${name}=${encoded}`), 401, 'AUTHENTICATION_REQUIRED', name)
  }
})

t.test('bearer: one form of it, once; a cookie beside it decides (C19, C20)', async t => {
  const cases: [string, string[], number][] = [
    ['as it is', [`Authorization: Bearer ${user.bearer}`], 200],
    ['lower case', [`authorization: bearer ${user.bearer}`], 200],
    ['two spaces', [`Authorization: Bearer  ${user.bearer}`], 401],
    ['a tab', [`Authorization: Bearer\t${user.bearer}`], 401],
    ['nothing', ['Authorization: Bearer'], 401],
    ['no signature (R38)', [`Authorization: Bearer ${token}`], 401],
    ['another scheme', [`Authorization: Token ${user.bearer}`], 401],
    ['two lines', [`Authorization: Bearer ${user.bearer}`, `Authorization: Bearer ${user.bearer}`], 401],
    ['two tokens', [`Authorization: Bearer ${user.bearer}, Bearer ${admin.bearer}`], 401],
    ['a bad cookie beside it', [`Authorization: Bearer ${user.bearer}`, `Cookie: ${NAME}=bad.bad`], 401]
  ]
  for (const [name, lines, status] of cases) {
    t.equal((await send('GET /api/a/x', lines)).status, status, name)
  }
  const both = await send('GET /api/a/x', [`Authorization: Bearer ${admin.bearer}`, user.cookieLine])
  t.equal(both.reached[0]?.headers['x-user-id'], user.id, 'the cookie’s user')
  refused(
    t,
    await send('GET /api/a/admin', [`Authorization: Bearer ${admin.bearer}`, user.cookieLine]),
    403,
    'INSUFFICIENT_ROLE'
  )
})

t.test('a session token in Authorization ends here, in a spelling that signs nobody in as well (C19, B20)', async t => {
  const ours = [`Bearer  ${user.bearer}`, `Bearer\t${encoded}`, `Token ${user.bearer}`, user.bearer]
  for (const value of [...ours, `Bearer x, Bearer ${user.bearer}`, `Digest response="${user.bearer}"`]) {
    const { status, reached } = await send('GET /open/x', [`Authorization: ${value}`])
    t.strictSame([status, reached.map(each => valuesOf(each, 'authorization'))], [200, [[]]], value.slice(0, 12))
  }
  const theirs = ['Basic dXNlcjpwYXNz', `Bearer ${token}`, 'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.', `Bearer ${signature}`]
  for (const value of theirs) {
    const { reached } = await send('GET /open/x', [`Authorization: ${value}`])
    t.strictSame(reached.map(each => valuesOf(each, 'authorization')), [[value]], value.slice(0, 12))
  }
})

t.test('on an optional route a bad credential is nobody, not an error and not somebody', async t => {
  for (const value of Object.values(FORGED)) {
    const { status, reached } = await send('GET /optional/x', [`Cookie: ${NAME}=${value}`])
    t.equal(status, 200)
    t.equal(reached[0]?.headers['x-user-id'], undefined)
  }
})

t.test('under https only the __Secure- name counts; an older secret counts while it is listed (C10, C24)', async t => {
  const env = { BETTER_AUTH_URL: 'https://gw.test', BETTER_AUTH_SECRETS: `2:${SECRET},1:${OLDER}` }
  const https = await startAttack(t, { postgres: gateway.postgres, env: { ...env, BETTER_AUTH_SECRET: '' } })
  const again = encodeURIComponent(signToken(token, OLDER))
  const cases: [string, string, number][] = [
    ['plain name', `${NAME}=${encoded}`, 401],
    ['__Secure-', `__Secure-${NAME}=${encoded}`, 200],
    ['__Secure-, older secret', `__Secure-${NAME}=${again}`, 200],
    ['plain name, older secret', `${NAME}=${again}`, 401]
  ]
  for (const [name, cookie, status] of cases) {
    t.equal((await https.send('GET /api/a/x', [`Cookie: ${cookie}`])).status, status, name)
  }
  isForged(t, await withCookie(again), 'where the older secret is not listed')
})

t.test(
  'with Redis and PostgreSQL away a forgery is still a 401, and a session we cannot check a 503 (K13)',
  async t => {
    const { redis, postgres } = gateway
    for (const outage of [() => redis?.stop(), () => postgres.stop()]) {
      await outage()
      for (const value of Object.values(FORGED).slice(0, 5)) isForged(t, await withCookie(value), value)
      refused(t, await send('GET /api/a/x'), 401, 'AUTHENTICATION_REQUIRED')
    }
    for (const path of ['/api/a/x', '/api/strict/x', '/optional/x']) {
      const outcome = await send(`GET ${path}`, [user.cookieLine])
      refused(t, outcome, 503, 'AUTH_SERVICE_UNAVAILABLE', path)
      t.match(outcome.answer.header('retry-after'), /^\d+$/)
      t.equal(outcome.answer.header('www-authenticate'), undefined, 'nothing that makes a client drop its cookie')
    }
  }
)
