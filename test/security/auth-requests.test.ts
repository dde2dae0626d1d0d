/** Attacks on the auth routes: forged origins, fixed sessions, foreign redirects, malformed bodies, tunnels. */
import { request } from 'node:http'
import t from 'tap'
import { signToken } from '../../src/session/credential.js'
import { APP_ORIGIN, SECRET, startAuthServer } from '../support/auth-server.js'
import { type Answer, Browser } from '../support/browser.js'
import { startPostgres } from '../support/postgres.js'

const BASE = 'http://gw.test'
const COOKIE = 'better-auth.session_token'
const password = 'correct horse battery'
const postgres = await startPostgres(t)
const server = await startAuthServer(t, postgres, {
  env: { socialProviders: { google: { clientId: 'id', clientSecret: 'secret' } } }
})
let people = 0

async function signedIn() {
  const browser = new Browser(server.url, APP_ORIGIN)
  const email = `person-${++people}@example.com`
  const answer = await browser.post('/api/auth/sign-up/email', { email, password, name: 'Person' })
  if (answer.status !== 200) throw new Error(`sign-up answered ${answer.status}`)
  return { browser, email, token: answer.at('token'), userId: answer.at('user.id'), answer }
}

t.test('a request with a cookie needs an Origin of ours (E01-E03, E05, E06)', async t => {
  const { browser, email } = await signedIn()
  const foreign: readonly Record<string, string>[] = [
    { origin: 'https://evil.test' },
    { origin: 'null' },
    { origin: 'https://app.test.evil.test' },
    { origin: 'https://app.testevil' },
    { origin: 'https://evil-app.test' },
    { origin: 'http://app.test' },
    { origin: 'https://app.test:444' },
    { origin: 'https://evil.test', 'sec-fetch-site': 'same-origin' },
    { origin: 'https://evil.test', referer: 'https://app.test/' },
    { origin: '', referer: 'https://evil.test/' },
    { origin: '', 'sec-fetch-site': 'cross-site' }
  ]

  for (const headers of foreign) {
    const answer = await browser.post('/api/auth/update-user', { name: 'Mallory' }, headers)
    t.equal(answer.status, 403, JSON.stringify(headers))
    t.match(answer.json, { success: false, code: 'ORIGIN_NOT_ALLOWED', requestId: String })
  }
  for (const type of ['text/plain', 'multipart/form-data; boundary=x', 'application/x-www-form-urlencoded']) {
    const answer = await browser.post('/api/auth/update-user', '{"name":"Mallory"}', {
      'content-type': type,
      origin: 'https://evil.test'
    })
    t.ok([403, 415].includes(answer.status), `${type}: ${answer.status}`)
  }
  t.match((await browser.get('/api/auth/get-session')).json, { user: { email, name: 'Person' } }, 'nothing changed')
  t.equal((await browser.post('/api/auth/update-user', { name: 'Ada' })).status, 200, 'our own page may')
  t.equal(
    (await browser.post('/api/auth/update-user', { name: 'Ada' }, { origin: BASE })).status,
    200,
    'and the gateway’s'
  )
})

t.test('a foreign page signs nobody in, cookie or not', async t => {
  const { email } = await signedIn()
  const stranger = new Browser(server.url, 'https://evil.test')

  const refused = { status: 403, json: { success: false, code: 'ORIGIN_NOT_ALLOWED' } }
  t.match(await stranger.post('/api/auth/sign-in/email', { email, password }), refused)
  const navigation = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
  const form = new URLSearchParams({ email, password }).toString()
  const headers = { 'content-type': 'application/x-www-form-urlencoded', ...navigation }
  t.match(await stranger.post('/api/auth/sign-in/email', form, headers), refused)
  t.equal(stranger.cookies.size, 0)
  stranger.cookies.set('theme', 'dark')
  t.match(await stranger.post('/api/auth/sign-in/email', { email, password }), refused)
})

t.test('a bearer client needs no Origin', async t => {
  const { answer } = await signedIn()
  const authorization = `Bearer ${answer.headers.get('set-auth-token')}`

  const { status } = await fetch(`${server.url}/api/auth/revoke-other-sessions`, {
    method: 'POST',
    headers: { authorization }
  })

  t.equal(status, 200)
})

t.test('sign-in never adopts a session that was there before (D30)', async t => {
  const victim = await signedIn()
  const attacker = await signedIn()
  victim.browser.cookies.set(COOKIE, attacker.browser.cookies.get(COOKIE) ?? '')

  const answer = await victim.browser.post('/api/auth/sign-in/email', { email: victim.email, password })

  t.not(answer.at('token'), attacker.token)
  t.match((await victim.browser.get('/api/auth/get-session')).json, { user: { email: victim.email } })
  t.match((await attacker.browser.get('/api/auth/get-session')).json, { user: { email: attacker.email } })
})

t.test(
  'the session cookie is HttpOnly, SameSite=Lax, Path=/, one line, with a token of 128 bits and more (C21)',
  async t => {
    const { answer, token } = await signedIn()
    const lines = answer.headers.getSetCookie()

    t.equal(lines.length, 1)
    t.match(lines[0], /^better-auth\.session_token=[^;]+; Max-Age=604800; Path=\/; HttpOnly; SameSite=Lax$/)
    // 32 characters out of 62.
    t.match(token, /^[A-Za-z0-9]{32}$/)
    t.ok((lines[0] ?? '').length < 4096)
  }
)

t.test('under https the cookie is Secure and __Secure-, and follows domain and SameSite (C21, R33, R34)', async t => {
  const env = { baseUrl: 'https://gw.example.com', cookieDomain: '.example.com', cookieSameSite: 'none' as const }
  const https = await startAuthServer(t, postgres, { env })
  const browser = new Browser(https.url, APP_ORIGIN)

  const { headers } = await browser.post('/api/auth/sign-up/email', {
    email: 'secure@example.com',
    password,
    name: 'S'
  })

  t.match(headers.getSetCookie(), [
    /^__Secure-better-auth\.session_token=[^;]+; Max-Age=604800; Domain=\.?example\.com; Path=\/; HttpOnly; Secure; SameSite=None$/
  ])
})

t.test('session_data proves nothing: forged, stolen or of a revoked session (C22)', async t => {
  const { browser, email } = await signedIn()
  const session = (await browser.get('/api/auth/get-session')).json
  const expiresAt = Date.now() + 300_000
  const forged = Buffer.from(JSON.stringify({ session, expiresAt, signature: 'x' })).toString('base64url')
  const kept = browser.cookies.get(COOKIE) ?? ''
  await browser.post('/api/auth/sign-out')

  for (const cookies of [
    { 'better-auth.session_data': forged },
    { 'better-auth.session_data': forged, [COOKIE]: kept }
  ]) {
    const stranger = new Browser(server.url, APP_ORIGIN)
    for (const pair of Object.entries(cookies)) stranger.cookies.set(...pair)
    const answer = await stranger.get('/api/auth/get-session')
    t.equal(answer.text, 'null')
    t.equal((await stranger.post('/api/auth/update-user', { name: 'Mallory' })).status, 401)
  }
  const { headers } = await browser.post('/api/auth/sign-in/email', { email, password })
  t.notMatch(headers.getSetCookie().join('\n'), /session_data=[^;]/, 'none is given out')
})

t.test('a raw token is no credential, a forged one neither', async t => {
  const { token, browser } = await signedIn()
  const other = await signedIn()
  const signature = signToken(other.token, SECRET).slice(other.token.length)

  for (const bearer of [
    token,
    `${token}.`,
    `${token}${signature}`,
    signToken(token, 'another secret of the tests, 32 and more')
  ]) {
    const answer = await fetch(`${server.url}/api/auth/get-session`, { headers: { authorization: `Bearer ${bearer}` } })
    t.equal(await answer.text(), 'null', bearer.slice(32, 40))
  }
  t.ok((await browser.get('/api/auth/get-session')).json)
})

t.test('cookie and bearer of two users: the cookie counts, as on every other route (C20)', async t => {
  const [one, two] = [await signedIn(), await signedIn()]
  const bearer = { authorization: `Bearer ${two.answer.headers.get('set-auth-token')}` }

  t.match((await one.browser.get('/api/auth/get-session', bearer)).json, { user: { email: one.email } })
  one.browser.cookies.set(COOKIE, 'forged.signature')
  t.equal(
    (await one.browser.get('/api/auth/get-session', bearer)).text,
    'null',
    'a bad cookie is not rescued by a bearer'
  )
})

t.test('a cookie of the older secret still signs in, signs out and is not signed out by rotation (C24)', async t => {
  const { browser, email, token } = await signedIn()
  const secrets = [
    { version: 2, value: 'the newer secret of the tests, longer than 32' },
    { version: 1, value: SECRET }
  ]
  const rotated = await startAuthServer(t, postgres, { secrets })
  const later = new Browser(rotated.url, APP_ORIGIN)
  later.cookies.set(COOKIE, browser.cookies.get(COOKIE) ?? '')

  t.match((await later.get('/api/auth/get-session')).json, { user: { email } })
  const bearer = await fetch(`${rotated.url}/api/auth/get-session`, {
    headers: { authorization: `Bearer ${signToken(token, SECRET)}` }
  })
  t.match(await bearer.json(), { user: { email } })
  t.equal((await later.get('/api/auth/token')).status, 200, 'the keys the older secret encrypted are still read')
  t.equal((await later.post('/api/auth/sign-out')).status, 200)
  t.equal((await browser.get('/api/auth/get-session')).text, 'null')
})

const EVIL_SPELLINGS = [
  'https://evil.test',
  'http://evil.test/',
  'HTTPS://EVIL.TEST',
  '//evil.test',
  '///evil.test',
  '////evil.test',
  '/\\evil.test',
  '\\/evil.test',
  '\\\\evil.test',
  '/\t/evil.test',
  '/%09/evil.test',
  '/\n/evil.test',
  '/%0a/evil.test',
  '/%0d%0aLocation:%20https://evil.test',
  '/%5cevil.test',
  '/%2fevil.test',
  '/%2F%2Fevil.test',
  '/.//evil.test',
  '/..//evil.test',
  'https:evil.test',
  'https:/evil.test',
  'https:\\\\evil.test',
  'https://app.test@evil.test',
  'https://app.test:x@evil.test',
  'https://app.test%40evil.test',
  'https://app.test.evil.test',
  'https://app.test%2eevil.test',
  'https://app.test\\.evil.test',
  'https://app.test%00.evil.test',
  'https://evil.test#https://app.test',
  'https://evil.test?https://app.test',
  'https://evil.test/https://app.test',
  'http://app.test',
  'https://app.test:444/',
  'javascript:alert(1)',
  'JaVaScRiPt:alert(1)',
  'java\nscript:alert(1)',
  'data:text/html,<script>alert(1)</script>',
  'vbscript:x',
  'blob:https://evil.test/x',
  ' https://evil.test',
  '\u0000https://evil.test',
  'https://еvil.test',
  'ftp://evil.test',
  'evil.test',
  '.evil.test',
  '@evil.test',
  '*',
  'null'
]

t.test('no door redirects outside the trusted origins, however the target is written (E13)', async t => {
  const { browser, email } = await signedIn()
  await browser.post('/api/auth/request-password-reset', { email })
  const verification = new URL(server.mails.findLast(mail => mail.kind === 'verification')?.url ?? '')
  const { token = '' } = server.mails.findLast(mail => mail.kind === 'password-reset') ?? {}
  let redirects = 0

  function staysHome(answer: Answer, what: string): void {
    const location = answer.headers.get('location')
    if (answer.status >= 300 && answer.status < 400) redirects++
    if (location === null) return
    const { origin, protocol } = new URL(location, BASE)
    t.ok(
      protocol.startsWith('http') && [BASE, APP_ORIGIN, 'https://accounts.google.com'].includes(origin),
      `${what} -> ${location}`
    )
  }

  for (const evil of EVIL_SPELLINGS) {
    const name = JSON.stringify(evil)
    const query = `callbackURL=${encodeURIComponent(evil)}`
    verification.searchParams.set('callbackURL', evil)
    const asks: readonly (readonly [string, Promise<Answer>])[] = [
      ['verify-email', browser.get(`/api/auth/verify-email${verification.search}`)],
      ['verify-email, bad token', browser.get(`/api/auth/verify-email?token=x&${query}`)],
      ['reset link', browser.get(`/api/auth/reset-password/${token}?${query}`)],
      ['reset link, bad token', browser.get(`/api/auth/reset-password/x?${query}`)],
      ['sign-in', browser.post('/api/auth/sign-in/email', { email, password, callbackURL: evil })],
      ['sign-in by query', browser.post(`/api/auth/sign-in/email?${query}`, { email, password })],
      ['social', browser.post('/api/auth/sign-in/social', { provider: 'google', callbackURL: evil })],
      ['social error', browser.post('/api/auth/sign-in/social', { provider: 'google', errorCallbackURL: evil })],
      ['error page', browser.get(`/api/auth/error?error=x&${query}`)]
    ]
    for (const [door, answer] of asks) staysHome(await answer, `${door} ${name}`)
    const reset = await browser.post('/api/auth/request-password-reset', { email, redirectTo: evil })
    const mail = server.mails.findLast(each => each.kind === 'password-reset')
    if (reset.status === 200) staysHome(await browser.get(pathOf(mail?.url ?? '')), `reset mail ${name}`)
  }
  t.equal(
    (await browser.get(`/api/auth/reset-password/${token}?callbackURL=%2Freset`)).headers
      .get('location')
      ?.startsWith(`${BASE}/reset`),
    true
  )
  t.ok(redirects < EVIL_SPELLINGS.length * 3, `${redirects} redirects, all of them home`)
})

t.test('malformed bodies get 400, 413 or 415, never 500, and change no prototype (G38)', async t => {
  const { browser, email } = await signedIn()
  const json = 'application/json'
  const bodies: readonly (readonly [string, string, string | Buffer])[] = [
    ['an open brace', json, '{'],
    ['nothing at all', json, ''],
    ['null', json, 'null'],
    ['a number', json, '7'],
    ['a list', json, '[]'],
    ['200 levels', json, '['.repeat(200) + ']'.repeat(200)],
    ['50,000 levels', json, '['.repeat(50_000) + ']'.repeat(50_000)],
    ['__proto__', json, `{"email":"${email}","password":"${password}","__proto__":{"polluted":true}}`],
    ['constructor', json, `{"email":"${email}","password":1,"constructor":{"prototype":{"polluted":true}}}`],
    ['invalid UTF-8', json, Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
    ['a NUL in the e-mail', json, '{"email":"a\\u0000b@x.test","password":"correct horse"}'],
    ['a lone surrogate', json, '{"email":"\\ud800@x.test","password":"correct horse"}'],
    ['wrong types', json, '{"email":{"$ne":null},"password":["x"]}'],
    ['a long password', json, JSON.stringify({ email, password: 'x'.repeat(100_000) })],
    ['5 MB', json, `{"email":"${'x'.repeat(5_000_000)}"}`],
    ['a broken form', 'application/x-www-form-urlencoded', '%zz&&&=&email'],
    ['text', 'text/plain', 'hello'],
    ['no type', '', '{"email":"a@b.c"}'],
    ['a garbled type', 'application/json garbage', '{'],
    ['a tab in the type', 'application/json\ta', '{'],
    ['a form without a boundary', 'multipart/form-data', 'x']
  ]

  for (const endpoint of ['/sign-in/email', '/sign-up/email', '/revoke-session', '/update-user', '/admin/set-role']) {
    for (const [name, type, body] of bodies) {
      const { status } = await post(endpoint, type, body, browser.cookieHeader())
      t.ok(status < 500 && status !== 0, `${endpoint} ${name}: ${status}`)
      if (name === '5 MB') t.equal(status, 413, `${endpoint} ${name}`)
    }
  }
  t.equal(({} as { polluted?: boolean }).polluted, undefined)
  t.match((await browser.get('/api/auth/get-session')).json, { user: { name: 'Person', email } })
})

t.test('a value PostgreSQL refuses is the request’s fault: 400', async t => {
  const { browser } = await signedIn()
  const printed = t.capture(console, 'error')

  const answer = await browser.post('/api/auth/revoke-session', { token: 'a\u0000b' })

  t.match(answer, { status: 400, json: { success: false, code: 'BAD_REQUEST' } })
  t.strictSame(printed(), [], 'and the query’s parameters are not printed')
})

t.test('a user cannot give itself a role, an id or a verified address', async t => {
  const { browser, userId } = await signedIn()
  const wishes = { name: 'Person', role: 'admin', id: 'chosen', emailVerified: true, banned: false }

  await browser.post('/api/auth/update-user', wishes)
  const stranger = new Browser(server.url, APP_ORIGIN)
  await stranger.post('/api/auth/sign-up/email', { email: 'wish@example.com', password, ...wishes })
  const verified = { email: 'wish2@example.com', password, name: 'W', emailVerified: true }
  await stranger.post('/api/auth/sign-up/email', verified)

  const rows = await server.sql`
    select id, role, email_verified from auth."user"
    where id in ('chosen', ${userId}) or email like 'wish%@example.com'`
  t.ok(rows.length > 0)
  for (const row of rows) t.match(row, { role: 'user', email_verified: false })
  t.notOk(rows.some(({ id }) => id === 'chosen'))
})

t.test('an administrator cannot change or choose a user’s id', async t => {
  const [admin, user] = [await signedIn(), await signedIn()]
  await server.sql`update auth."user" set role = 'admin' where id = ${admin.userId}`
  t.teardown(() => server.sql`update auth."user" set role = 'user' where id = ${admin.userId}`)

  const update = await admin.browser.post('/api/auth/admin/update-user', {
    userId: user.userId,
    data: { id: 'taken', name: 'X' }
  })
  const create = await admin.browser.post('/api/auth/admin/create-user', {
    email: 'c@x.test',
    password,
    name: 'C',
    data: { id: 'c' }
  })

  t.match(update, { status: 400, json: { code: 'USER_ID_CANNOT_BE_UPDATED' } })
  t.match(create, { status: 400, json: { code: 'USER_ID_CANNOT_BE_UPDATED' } })
  t.equal((await server.sql`select 1 from auth."user" where id in ('taken', 'c')`).length, 0)
})

t.test('changing the e-mail address is closed: its link would sign in whoever opens it', async t => {
  const { browser } = await signedIn()

  const answer = await browser.post('/api/auth/change-email', { newEmail: 'new@example.com' })

  t.match(answer, { status: 404, json: { code: 'ROUTE_NOT_FOUND' } })
})

t.test('the mount is no tunnel and hides nothing (A19, A20)', async t => {
  for (const path of [
    '/api/auth/../a/x',
    '/api/auth/%2e%2e/a/x',
    '/api/auth/..%2fa',
    '/api/auth//get-session',
    '/api/auth/x%00',
    '/api/auth/%zz'
  ]) {
    const { status, text } = await raw(path)
    t.equal(status, 400, path)
    t.match(text, /"code":"BAD_PATH"/, path)
  }
  const browser = new Browser(server.url, APP_ORIGIN)
  const unknown = await browser.get('/api/auth/unknown-endpoint')
  t.match(unknown, { status: 404, json: { success: false, code: 'ROUTE_NOT_FOUND' } })
  t.notMatch(unknown.text, /unknown-endpoint/, 'the path is not repeated (J06)')
})

t.test('answers are not stored, and a preflight is the gateway’s to answer (C25, E08, E09)', async t => {
  const { browser } = await signedIn()
  t.equal((await browser.get('/api/auth/get-session')).headers.get('cache-control'), 'no-store')
  t.equal((await browser.get('/api/auth/list-sessions')).headers.get('cache-control'), 'no-store')

  const ours = await preflight(APP_ORIGIN)
  t.equal(ours.headers.get('access-control-allow-origin'), APP_ORIGIN)
  t.equal(ours.headers.get('access-control-allow-credentials'), 'true')
  t.equal((await preflight('https://evil.test')).headers.get('access-control-allow-origin'), null)
  const answer = await browser.post('/api/auth/sign-in/email', { email: 'a@b.c', password }, { origin: APP_ORIGIN })
  t.match(
    answer.headers.get('access-control-expose-headers'),
    /RateLimit.*set-auth-token/,
    'Better Auth does not shorten the list'
  )
})

t.test('the session keeps the address the gateway believes in, whatever the client claims (F04, R28)', async t => {
  const browser = new Browser(server.url, APP_ORIGIN)
  const claims = {
    'x-forwarded-for': '6.6.6.6',
    'x-real-ip': '6.6.6.6',
    forwarded: 'for=6.6.6.6',
    'cf-connecting-ip': '6.6.6.6'
  }

  await browser.post('/api/auth/sign-up/email', { email: 'claims@example.com', password, name: 'C' }, claims)

  t.match((await browser.get('/api/auth/get-session')).json, { session: { ipAddress: '127.0.0.1' } })
})

t.test('links in mails carry the configured base URL, whatever Host says', async t => {
  const browser = new Browser(server.url, APP_ORIGIN)
  const email = 'host@example.com'
  await browser.post(
    '/api/auth/sign-up/email',
    { email, password, name: 'H' },
    { 'x-forwarded-host': 'evil.test', 'x-forwarded-proto': 'https' }
  )
  await browser.post('/api/auth/request-password-reset', { email }, { 'x-forwarded-host': 'evil.test' })

  for (const { url } of server.mails.filter(({ user }) => user.email === email))
    t.ok(url.startsWith(`${BASE}/api/auth/`), url)
})

t.test('a body that does not come is not waited for', async t => {
  const impatient = await startAuthServer(t, postgres, { budgetMs: 300 })
  const startedAt = performance.now()

  const { status } = await raw('/api/auth/sign-in/email', { url: impatient.url, method: 'POST', endless: true })

  t.equal(status, 408)
  t.ok(performance.now() - startedAt < 2_000)
})

t.test('nothing private is in the log of all this (J04)', async t => {
  t.notMatch(
    server.text(),
    /correct horse|person-\d+@|secret of the tests|secret-of-the-tests|better-auth\.session_token/
  )
})

function preflight(origin: string): Promise<Response> {
  return fetch(`${server.url}/api/auth/sign-in/email`, {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' }
  })
}

function pathOf(link: string): string {
  const { pathname, search } = new URL(link)
  return pathname + search
}

interface RawOptions {
  readonly url?: string
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string | Buffer
  readonly endless?: boolean
}

/** As written: fetch would tidy the path up. */
function raw(
  path: string,
  { url = server.url, method = 'GET', headers = {}, body = '', endless = false }: RawOptions = {}
) {
  return new Promise<{ status: number; text: string }>(resolve => {
    let answered = false
    const sent = request({ host: '127.0.0.1', port: new URL(url).port, path, method, headers }, response => {
      answered = true
      let text = ''
      response.setEncoding('utf8').on('data', chunk => (text += chunk))
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text })
        sent.destroy()
      })
    })
    sent.on('error', () => answered || resolve({ status: 0, text: '' }))
    if (endless) sent.write('{')
    else sent.end(body)
  })
}

function post(endpoint: string, type: string, body: string | Buffer, cookie: string) {
  const headers = {
    origin: APP_ORIGIN,
    cookie,
    ...(type !== '' && { 'content-type': type }),
    'content-length': String(Buffer.byteLength(body))
  }
  return raw(`/api/auth${endpoint}`, { method: 'POST', headers, body })
}
