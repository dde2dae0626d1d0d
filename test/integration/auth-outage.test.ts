/** What the auth routes say when they cannot know: 503, and the client keeps its cookie. */
import t from 'tap'
import { GatewayError } from '../../src/errors.js'
import { APP_ORIGIN, type AuthServer, startAuthServer } from '../support/auth-server.js'
import { type Answer, Browser } from '../support/browser.js'
import { eventually } from '../support/eventually.js'
import { startFlakyLink } from '../support/flaky-link.js'
import { startPostgres } from '../support/postgres.js'

const postgres = await startPostgres(t)
const server = await startAuthServer(t, postgres, { budgetMs: 2_000 })
const password = 'correct horse battery'
let people = 0

async function signedIn(at: AuthServer = server): Promise<{ browser: Browser; email: string }> {
  const browser = new Browser(at.url, APP_ORIGIN)
  const email = `person-${++people}@example.com`
  const { status } = await browser.post('/api/auth/sign-up/email', { email, password, name: 'Person' })
  if (status !== 200) throw new Error(`sign-up answered ${status}`)
  return { browser, email }
}

function isOutage(t: Tap, answer: Answer, name: string): void {
  t.equal(answer.status, 503, name)
  t.match(answer.json, { success: false, code: 'AUTH_SERVICE_UNAVAILABLE', requestId: String }, name)
  t.ok(Number(answer.headers.get('retry-after')) >= 1, `${name}: Retry-After`)
  t.strictSame(answer.headers.getSetCookie(), [], `${name}: no cookie is touched`)
}

type Tap = { equal: typeof t.equal; match: typeof t.match; ok: typeof t.ok; strictSame: typeof t.strictSame }

/** The breaker in front of PostgreSQL lets a try through within a second. */
async function signsOut(t: Tap, browser: Browser): Promise<void> {
  const deadline = performance.now() + 5_000
  let answer = await browser.post('/api/auth/sign-out')
  while (answer.status === 503 && performance.now() < deadline) answer = await browser.post('/api/auth/sign-out')
  t.equal(answer.status, 200, 'signed out')
  t.equal(browser.cookies.size, 0, 'and the cookie is gone')
}

/** Every kind of request: reads, sign-ins, sign-outs, by cookie and by bearer. */
async function askEverything(t: Tap, browser: Browser, email: string, bearer: string): Promise<void> {
  const authorization = { authorization: `Bearer ${bearer}` }
  const anonymous = new Browser(server.url, APP_ORIGIN)
  isOutage(t, await browser.get('/api/auth/get-session'), 'get-session')
  isOutage(t, await browser.get('/api/auth/list-sessions'), 'list-sessions')
  isOutage(t, await browser.post('/api/auth/sign-out'), 'sign-out')
  isOutage(t, await anonymous.post('/api/auth/sign-out', {}, authorization), 'sign-out by bearer')
  isOutage(t, await browser.post('/api/auth/revoke-sessions'), 'revoke-sessions')
  isOutage(t, await browser.post('/api/auth/revoke-session', { token: 'x' }), 'revoke-session')
  isOutage(t, await anonymous.post('/api/auth/sign-in/email', { email, password }), 'sign-in')
  isOutage(t, await anonymous.post('/api/auth/sign-up/email', { email: 'n@x.test', password, name: 'N' }), 'sign-up')
  isOutage(t, await anonymous.post('/api/auth/request-password-reset', { email }), 'request-password-reset')
  isOutage(t, await anonymous.post('/api/auth/reset-password', { newPassword: password, token: 'x' }), 'reset')
}

t.test('with PostgreSQL stopped nothing is answered 200 or 401, and all is well once it is back (K06)', async t => {
  const { browser, email } = await signedIn()
  const bearer = decodeURIComponent(browser.cookies.values().next().value ?? '')
  const printed = t.capture(console, 'error')
  t.teardown(() => postgres.restart())
  await postgres.stop()

  await askEverything(t, browser, email, bearer)
  t.strictSame(printed(), [], 'Better Auth prints nothing behind the log’s back')

  await postgres.restart()
  t.match((await browser.get('/api/auth/get-session')).json, { user: { email } }, 'the session is still there')
  await signsOut(t, browser)
})

t.test('with PostgreSQL read-only a sign-out is a 503 with the cookie kept, reads go on (K10)', async t => {
  const { browser, email } = await signedIn()
  const setReadOnly = (value: string) =>
    server.sql.begin('read write', tx =>
      tx.unsafe(`alter database gateway set default_transaction_read_only = ${value}`)
    )
  t.teardown(async () => {
    await setReadOnly('off')
    await postgres.restart()
  })
  await setReadOnly('on')
  await postgres.restart()

  t.match((await browser.get('/api/auth/get-session')).json, { user: { email } })
  isOutage(t, await browser.post('/api/auth/sign-out'), 'sign-out')
  isOutage(t, await browser.post('/api/auth/revoke-sessions'), 'revoke-sessions')
  isOutage(t, await new Browser(server.url, APP_ORIGIN).post('/api/auth/sign-in/email', { email, password }), 'sign-in')
  t.match((await browser.get('/api/auth/get-session')).json, { user: { email } }, 'still signed in')
})

t.test('a frozen PostgreSQL is a 503 within the budget, not a hang (K07, R64)', async t => {
  const { browser, email } = await signedIn()
  t.teardown(() => postgres.resume())
  await postgres.pause()
  const askedAt = performance.now()

  const answers = await Promise.all([
    browser.get('/api/auth/get-session'),
    browser.post('/api/auth/sign-out'),
    new Browser(server.url, APP_ORIGIN).post('/api/auth/sign-in/email', { email, password })
  ])

  for (const answer of answers) isOutage(t, answer, 'frozen')
  t.ok(performance.now() - askedAt < 3_500, 'in time')
  await postgres.resume()
  await signsOut(t, browser)
})

t.test('connections lost in a black hole are given up: the door opens again with the database (K07, P5)', async t => {
  const link = await startFlakyLink(t, postgres.port)
  const url = postgres.url.replace(`:${postgres.port}/`, `:${link.port}/`)
  const behindLink = await startAuthServer(t, { url }, { budgetMs: 2_000 })
  const { browser, email } = await signedIn(behindLink)

  // All connections of the pool are open, and all of them are lost.
  await Promise.all(Array.from({ length: 30 }, () => browser.get('/api/auth/get-session')))

  link.stall()
  const asked = Array.from({ length: 8 }, () => browser.get('/api/auth/get-session'))
  for (const answer of await Promise.all(asked)) isOutage(t, answer, 'silent')
  link.resume()

  // What was sent into the hole stays lost, and TCP would wait for it a quarter of an hour.
  await eventually(async () => (await browser.get('/api/auth/get-session')).status === 200, 'it answers again', 15_000)
  t.match((await browser.get('/api/auth/get-session')).json, { user: { email } })
  await signsOut(t, browser)
})

t.test('rows that stay although every delete succeeded make a revocation a 503', async t => {
  const { browser, email } = await signedIn()
  const second = new Browser(server.url, APP_ORIGIN)
  const { status, ...answer } = await second.post('/api/auth/sign-in/email', { email, password })
  t.equal(status, 200)
  await server.sql.unsafe(`
    create function auth.keep_row() returns trigger language plpgsql as 'begin return null; end';
    create trigger keep_row before delete on auth.session for each row execute function auth.keep_row()`)
  t.teardown(() =>
    server.sql.unsafe('drop trigger if exists keep_row on auth.session; drop function if exists auth.keep_row()')
  )

  isOutage(t, await browser.post('/api/auth/revoke-session', { token: answer.at('token') }), 'one')
  isOutage(t, await browser.post('/api/auth/revoke-other-sessions'), 'others')
  isOutage(t, await browser.post('/api/auth/revoke-sessions'), 'all')
  isOutage(t, await browser.post('/api/auth/sign-out'), 'sign-out')

  await server.sql.unsafe('drop trigger keep_row on auth.session')
  t.equal((await browser.post('/api/auth/revoke-other-sessions')).status, 200)
  t.equal((await second.get('/api/auth/get-session')).json, null)
  await signsOut(t, browser)
})

t.test('an administrator’s revocation is held to its word as well', async t => {
  const [admin, user] = [await signedIn(), await signedIn()]
  const [row] = await server.sql`
    with promoted as (update auth."user" set role = 'admin' where email = ${admin.email})
    select s.user_id, s.token from auth.session s join auth."user" u on u.id = s.user_id where u.email = ${user.email}`
  const keep = { userId: row?.user_id, sessionToken: row?.token }

  t.equal((await admin.browser.post('/api/auth/admin/revoke-user-session', keep)).status, 200)
  t.equal((await user.browser.get('/api/auth/get-session')).json, null)
  t.equal((await admin.browser.post('/api/auth/admin/revoke-user-sessions', keep)).status, 200)
  t.equal((await admin.browser.post('/api/auth/admin/ban-user', keep)).status, 200)
})

t.test('a revocation that cannot be applied to the caches is a 503, and the cookie stays', async t => {
  let broken = false
  const settle = async () => {
    if (broken) throw new GatewayError('AUTH_SERVICE_UNAVAILABLE', { headers: { 'retry-after': '1' } })
  }
  const other = await startAuthServer(t, postgres, { settle })
  const { browser } = await signedIn(other)
  broken = true

  isOutage(t, await browser.post('/api/auth/sign-out'), 'sign-out')
  t.equal(browser.cookies.size, 1)
  broken = false
  t.equal((await browser.post('/api/auth/sign-out')).status, 200, 'signing out again succeeds')
  t.equal(browser.cookies.size, 0)
})

t.test('a sign-out without a credential, or with a forged one, is Better Auth’s to answer', async t => {
  const anonymous = new Browser(server.url, APP_ORIGIN)
  t.equal((await anonymous.post('/api/auth/sign-out')).status, 200)

  anonymous.cookies.set('better-auth.session_token', 'forged.signature')
  t.equal((await anonymous.post('/api/auth/sign-out')).status, 200)
})

t.test('a sign-out from a foreign page deletes nothing', async t => {
  const { browser, email } = await signedIn()

  t.equal((await browser.post('/api/auth/sign-out', {}, { origin: 'https://evil.test' })).status, 403)

  t.match((await browser.get('/api/auth/get-session')).json, { user: { email } })
})
