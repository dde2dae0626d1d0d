/** Google by environment (R25): whom its word signs in, and whose account it may open. Google itself is a stand-in. */
import t from 'tap'
import { APP_ORIGIN, startAuthServer } from '../support/auth-server.js'
import { type Answer, Browser } from '../support/browser.js'
import { eventually } from '../support/eventually.js'
import { startPostgres } from '../support/postgres.js'

const postgres = await startPostgres(t)
const server = await startAuthServer(t, postgres, {
  env: { socialProviders: { google: { clientId: 'the-client', clientSecret: 'the-secret' } } }
})
const password = 'correct horse battery'

interface Person {
  readonly id: string
  readonly email: string
  readonly emailVerified: boolean
}

/** What Google would say about whoever comes back from its page. */
let person: Person = { id: 'g-0', email: '', emailVerified: true }
const [google] = server.auth.context.socialProviders
if (google === undefined) throw new Error('no provider')
google.validateAuthorizationCode = async () => ({ accessToken: 'access', idToken: 'id', scopes: [] })
google.getUserInfo = async () => ({ user: { ...person, name: 'Ada' }, data: { sub: person.id } }) as never

async function comeBackFromGoogle(as: Person): Promise<{ browser: Browser; answer: Answer }> {
  person = as
  const browser = new Browser(server.url, APP_ORIGIN)
  const begun = await browser.post('/api/auth/sign-in/social', {
    provider: 'google',
    callbackURL: '/welcome',
    errorCallbackURL: '/failed'
  })
  const { searchParams } = new URL(begun.at('url'))
  const answer = await browser.get(`/api/auth/callback/google?code=c&state=${searchParams.get('state')}`)
  return { browser, answer }
}

async function signUp(email: string, verified: boolean): Promise<void> {
  await new Browser(server.url, APP_ORIGIN).post('/api/auth/sign-up/email', { email, password, name: 'Ada' })
  await server.sql`update auth."user" set email_verified = ${verified} where email = ${email}`
}

t.test('the way to Google carries our address to come back to, and leads nowhere else', async t => {
  const browser = new Browser(server.url, APP_ORIGIN)

  const { headers } = await browser.post('/api/auth/sign-in/social', { provider: 'google' })

  const { origin, searchParams } = new URL(headers.get('location') ?? '')
  t.equal(origin, 'https://accounts.google.com')
  t.equal(searchParams.get('redirect_uri'), 'http://gw.test/api/auth/callback/google')
  t.equal(searchParams.get('client_id'), 'the-client')
  t.match(await browser.post('/api/auth/sign-in/social', { provider: 'github' }), {
    status: 404,
    json: { code: 'PROVIDER_NOT_FOUND' }
  })
})

t.test('a new person is signed in, and that is an event and applied everywhere', async t => {
  const settled = server.settled()
  server.events.length = 0

  const { browser, answer } = await comeBackFromGoogle({ id: 'g-1', email: 'new@example.com', emailVerified: true })

  t.match(answer, { status: 302 })
  t.match(answer.headers.get('location'), /\/welcome$/)
  t.match((await browser.get('/api/auth/get-session')).json, {
    user: { email: 'new@example.com', emailVerified: true }
  })
  t.equal(server.settled(), settled + 2, 'the way there, and the way back')
  await eventually(() => server.events.length === 2, 'two events')
  t.match(server.events[1], { event: 'auth.sign_in', outcome: 'success', userId: String })
  const [row] =
    await server.sql`select access_token from auth.account where provider_id = 'google' and account_id = 'g-1'`
  t.notMatch(row?.access_token, /access/, 'tokens of the provider are stored encrypted')
})

t.test('an account is linked when both sides have proven the address', async t => {
  await signUp('both@example.com', true)

  const { browser, answer } = await comeBackFromGoogle({ id: 'g-2', email: 'both@example.com', emailVerified: true })

  t.match(answer.headers.get('location'), /\/welcome$/)
  t.match((await browser.get('/api/auth/get-session')).json, { user: { email: 'both@example.com' } })
})

t.test(
  'an account that was planted under somebody’s address is not opened by its owner’s Google (GHSA-g38m-r43w-p2q7)',
  async t => {
    await signUp('planted@example.com', false)

    const { browser, answer } = await comeBackFromGoogle({
      id: 'g-3',
      email: 'planted@example.com',
      emailVerified: true
    })

    t.match(answer.headers.get('location'), /\/failed\?error=account_not_linked/)
    t.equal((await browser.get('/api/auth/get-session')).json, null)
  }
)

t.test('an address Google has not seen proven opens nobody’s account', async t => {
  await signUp('owner@example.com', true)

  const { browser, answer } = await comeBackFromGoogle({ id: 'g-4', email: 'owner@example.com', emailVerified: false })

  t.match(answer.headers.get('location'), /\/failed\?error=account_not_linked/)
  t.equal((await browser.get('/api/auth/get-session')).json, null)
})
