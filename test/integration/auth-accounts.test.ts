/** An account's life through the auth routes: verification, reset, welcome, tokens, aliases. */
import { createPublicKey, type JsonWebKey, verify } from 'node:crypto'
import t from 'tap'
import { createMailer } from '../../src/auth/mail.js'
import { APP_ORIGIN, anEnv, type AuthServer, type SentMail, startAuthServer } from '../support/auth-server.js'
import { Browser } from '../support/browser.js'
import { eventually } from '../support/eventually.js'
import { capturingLog } from '../support/log.js'
import { startPostgres } from '../support/postgres.js'

const postgres = await startPostgres(t)
const server = await startAuthServer(t, postgres)
const strict = await startAuthServer(t, postgres, { env: { requireEmailVerification: true } })

const password = 'correct horse battery'
let people = 0

async function signUp(at: AuthServer = server, fields: Record<string, unknown> = {}) {
  const browser = new Browser(at.url, APP_ORIGIN)
  const email = `person-${++people}@example.com`
  const answer = await browser.post('/api/auth/sign-up/email', { email, password, name: 'Person', ...fields })
  return { browser, email, answer }
}

function lastMail(at: AuthServer, kind: SentMail['kind'], email: string): SentMail {
  const mail = at.mails.findLast(each => each.kind === kind && each.user.email === email)
  if (mail === undefined) throw new Error(`no ${kind} mail`)
  return mail
}

/** The path and query of a link, to be followed at the server's own address. */
function pathOf(link: string): string {
  const { pathname, search } = new URL(link)
  return pathname + search
}

function lifeOf(link: string): number {
  const token = new URL(link).searchParams.get('token') ?? ''
  const { iat, exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<
    string,
    number
  >
  return (exp ?? 0) - (iat ?? 0)
}

t.test(
  'sign-up sends a verification link that lives 15 minutes and verifies (R20); a welcome follows (R22)',
  async t => {
    const { browser, email } = await signUp()
    const { url } = lastMail(server, 'verification', email)
    t.ok(url.startsWith('http://gw.test/api/auth/verify-email?token='), 'the link carries the configured base URL')
    t.equal(lifeOf(url), 15 * 60)

    const answer = await new Browser(server.url, APP_ORIGIN).get(pathOf(url))

    t.match(answer, { status: 302 })
    t.strictSame(answer.headers.getSetCookie(), [], 'whoever opens the link is not signed in by it')
    t.match((await browser.get('/api/auth/get-session')).json, { user: { emailVerified: true } })
    t.equal(lastMail(server, 'welcome', email).user.email, email)
    await browser.get(pathOf(url))
    t.equal(server.mails.filter(mail => mail.kind === 'welcome' && mail.user.email === email).length, 1, 'one welcome')
  }
)

t.test('an expired or forged verification link verifies nobody', async t => {
  const { browser, email } = await signUp()
  const { url } = lastMail(server, 'verification', email)
  const token = new URL(url).searchParams.get('token') ?? ''
  const forged = `${token.slice(0, -4)}AAAA`

  t.equal((await browser.get(`/api/auth/verify-email?token=${forged}`)).status, 401)

  t.match((await browser.get('/api/auth/get-session')).json, { user: { emailVerified: false } })
})

t.test('where verification is demanded, sign-in waits for it (R20)', async t => {
  const { browser, email, answer } = await signUp(strict)
  t.match(answer, { status: 200, json: { token: null } })
  t.equal(browser.cookies.size, 0, 'no session before the address is proven')
  const before = await browser.post('/api/auth/sign-in/email', { email, password })
  t.match(before, { status: 403, json: { code: 'EMAIL_NOT_VERIFIED' } })

  await browser.get(pathOf(lastMail(strict, 'verification', email).url))

  t.equal((await browser.post('/api/auth/sign-in/email', { email, password })).status, 200)
  const again = await signUp(strict, { email })
  t.match(again.answer, { status: 200, json: { token: null } }, 'a taken address answers like a free one')
})

t.test('a reset link lives one hour, works once and ends every session (R21, D11)', async t => {
  const { browser, email } = await signUp()
  const asked = await browser.post('/api/auth/request-password-reset', { email, redirectTo: '/reset' })
  t.equal(asked.status, 200)
  const { token } = lastMail(server, 'password-reset', email)
  const [row] = await server.sql`
    select extract(epoch from expires_at - now())::int as life, identifier from auth.verification
    where value = (select id from auth."user" where email = ${email})`
  t.ok(row?.life > 3_590 && row?.life <= 3_600, `${row?.life} s`)
  t.notMatch(row?.identifier, new RegExp(token), 'the database does not hold the token itself')

  const reset = await browser.post('/api/auth/reset-password', { newPassword: 'another horse battery', token })

  t.equal(reset.status, 200)
  t.equal((await browser.get('/api/auth/get-session')).json, null, 'the session that was there has ended')
  t.equal((await browser.post('/api/auth/sign-in/email', { email, password })).status, 401)
  t.equal((await browser.post('/api/auth/sign-in/email', { email, password: 'another horse battery' })).status, 200)
  const second = await browser.post('/api/auth/reset-password', { newPassword: 'third horse battery', token })
  t.match(second, { status: 400, json: { code: 'INVALID_TOKEN' } }, 'once')
})

t.test('a reset for an unknown address answers like one for a known address', async t => {
  const { browser, email } = await signUp()

  const known = await browser.post('/api/auth/request-password-reset', { email })
  const unknown = await browser.post('/api/auth/request-password-reset', { email: 'nobody@example.com' })

  t.strictSame([unknown.status, unknown.json], [known.status, known.json])
})

t.test('an expired reset link resets nothing', async t => {
  const { browser, email } = await signUp()
  await browser.post('/api/auth/request-password-reset', { email })
  const { token } = lastMail(server, 'password-reset', email)
  await server.sql`update auth.verification set expires_at = now() - interval '1 second'`

  const answer = await browser.post('/api/auth/reset-password', { newPassword: 'another horse battery', token })

  t.match(answer, { status: 400, json: { code: 'INVALID_TOKEN' } })
})

t.test('a mail service that never answers delays and breaks nothing', async t => {
  const { log } = capturingLog()
  const env = { ...anEnv(), mail: { kind: 'resend', apiKey: 're_123' } as const }
  const mailer = createMailer({ env, log, resendUrl: await silentService(t) })
  const other = await startAuthServer(t, postgres, { mailer })
  const startedAt = performance.now()

  const { answer, email, browser } = await signUp(other)
  const reset = await browser.post('/api/auth/request-password-reset', { email })

  t.strictSame([answer.status, reset.status], [200, 200])
  t.ok(performance.now() - startedAt < 2_000, 'nobody waited for the mail')
})

t.test('the names of the customer’s documents work: session, signup, signin (R12, R13)', async t => {
  const browser = new Browser(server.url, APP_ORIGIN)
  const email = `person-${++people}@example.com`

  t.match(await browser.post('/api/auth/signup', { email, password, name: 'Person' }), { status: 200 })
  t.match(await browser.post('/api/auth/signin', { email, password }), { status: 200, json: { user: { email } } })
  t.match(await browser.get('/api/auth/session'), {
    status: 200,
    json: { user: { email }, session: { token: String } }
  })
})

t.test('a form may sign in as well as JSON', async t => {
  const { email } = await signUp()
  const browser = new Browser(server.url, APP_ORIGIN)
  const form = new URLSearchParams({ email, password }).toString()

  const answer = await browser.post('/api/auth/sign-in/email', form, {
    'content-type': 'application/x-www-form-urlencoded'
  })

  t.match(answer, { status: 200, json: { user: { email } } })
})

t.test('/api/auth/token is a JWT without the user row, verifiable by the published keys (R15, R56)', async t => {
  const { browser, email, answer } = await signUp()

  const { token } = (await browser.get('/api/auth/token')).json as { token: string }
  const published = await fetch(`${server.url}/.well-known/jwks.json`)
  const keys = (await published.json()) as { keys: (JsonWebKey & { kid: string })[] }
  const [header, payload] = token.split('.', 2).map(part => JSON.parse(Buffer.from(part, 'base64url').toString()))
  const key = keys.keys.find(({ kid }) => kid === header.kid)
  const [, signed = '', signature = ''] = /^(.+)\.([^.]+)$/.exec(token) ?? []

  t.ok(
    key &&
      verify(null, Buffer.from(signed), createPublicKey({ key, format: 'jwk' }), Buffer.from(signature, 'base64url'))
  )
  t.equal(published.headers.get('cache-control'), 'public, max-age=300')
  t.equal(header.alg, 'EdDSA')
  t.equal(payload.sub, answer.at('user.id'))
  t.match(payload, { iss: 'http://gw.test', aud: 'http://gw.test', email, email_verified: false, roles: ['user'] })
  t.equal(payload.exp - payload.iat, 15 * 60)
  t.strictSame(Object.keys(payload).toSorted(), [
    'aud',
    'email',
    'email_verified',
    'exp',
    'iat',
    'iss',
    'roles',
    'sid',
    'sub'
  ])
  const theirs = (await browser.get('/api/auth/jwks')).json as { keys: { kid: string }[] }
  t.strictSame(
    theirs.keys.map(({ kid }) => kid),
    keys.keys.map(({ kid }) => kid)
  )
  t.notMatch(JSON.stringify(keys), /"d":/, 'no private half')
})

t.test('a session born short stays short: renewal does not make a week of it', async t => {
  const { email } = await signUp()
  const browser = new Browser(server.url, APP_ORIGIN)
  const signedIn = await browser.post('/api/auth/sign-in/email', { email, password, rememberMe: false })
  const bearer = signedIn.headers.get('set-auth-token')
  const lifeOfSession = async () => {
    const [row] = await server.sql`
      select extract(epoch from expires_at - created_at)::int as life from auth.session where token = ${signedIn.at('token')}`
    return row?.life
  }
  t.equal(await lifeOfSession(), 86_400)

  const bare = await fetch(`${server.url}/api/auth/get-session`, { headers: { authorization: `Bearer ${bearer}` } })

  t.equal(bare.status, 200)
  t.equal(await lifeOfSession(), 86_400, 'the bearer client carries no dont_remember cookie, and needs none')
})

t.test('a session born long is renewed (R30)', async t => {
  const { browser, answer } = await signUp()
  await server.sql`
    update auth.session set expires_at = now() + interval '5 days', created_at = now() - interval '2 days'
    where token = ${answer.at('token')}`

  await browser.get('/api/auth/get-session')

  const [row] = await server.sql`
    select extract(epoch from expires_at - now())::int as left from auth.session where token = ${answer.at('token')}`
  t.ok(row?.left > 7 * 86_400 - 60, `${row?.left} s`)
})

t.test('diagnostics say how it is set up, and nothing secret (R16)', async t => {
  const { browser, answer } = await signUp()

  const debug = await browser.get('/api/auth/debug')

  t.match(debug.json, {
    baseUrl: 'http://gw.test',
    sessionCookie: { name: 'better-auth.session_token', httpOnly: true },
    you: { credential: 'token', offeredAs: 'cookie', address: '127.0.0.1' }
  })
  t.notMatch(debug.text, new RegExp(`${answer.at('token')}|secret-of-the-tests`))
  t.equal((await browser.get('/api/auth/reference')).status, 200)
})

t.test('in production there are no diagnostics and no reference page (R16, R96)', async t => {
  const production = await startAuthServer(t, postgres, { env: { production: true, baseUrl: 'https://gw.test' } })
  const browser = new Browser(production.url, APP_ORIGIN)

  for (const path of ['/api/auth/debug', '/api/auth/reference', '/api/auth/open-api/generate-schema']) {
    t.match(await browser.get(path), { status: 404, json: { success: false, code: 'ROUTE_NOT_FOUND' } }, path)
  }
})

t.test('auth events are logged with outcome and user, and nothing private (R87)', async t => {
  const { browser, email, answer } = await signUp()
  server.events.length = 0

  await browser.post('/api/auth/sign-in/email', { email, password: 'wrong horse battery' })
  await browser.post('/api/auth/sign-in/email', { email, password })
  await browser.post('/api/auth/sign-out')
  await eventually(() => server.events.length === 3, 'three events')

  const userId = answer.at('user.id')
  t.match(server.events, [
    { event: 'auth.sign_in', outcome: 'failure', userId: null, ip: '127.0.0.1' },
    { event: 'auth.sign_in', outcome: 'success', userId },
    { event: 'auth.sign_out', outcome: 'success', userId }
  ])
  t.match(server.lines(), [], 'JSON line by line')
  t.notMatch(server.text(), new RegExp(`${email}|${password}|${answer.at('token')}`))
})

/** Takes connections and says nothing. */
async function silentService(scope: { teardown: (fn: () => unknown) => unknown }): Promise<string> {
  const { createServer } = await import('node:net')
  const sockets = new Set<{ destroy: () => unknown }>()
  const silent = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
  scope.teardown(() => {
    for (const socket of sockets) socket.destroy()
    silent.close()
  })
  return `http://127.0.0.1:${(silent.address() as { port: number }).port}/emails`
}
