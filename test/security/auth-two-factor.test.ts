/** A database whose users have second factors: the gateway must not be the door that forgets them. */
import t from 'tap'
import { APP_ORIGIN, startAuthServer } from '../support/auth-server.js'
import { Browser } from '../support/browser.js'
import { startPostgres } from '../support/postgres.js'

const postgres = await startPostgres(t)
const first = await startAuthServer(t, postgres)
await first.sql.unsafe(`
  alter table auth."user" add column two_factor_enabled boolean default false;
  create table auth.two_factor (
    id text primary key, secret text not null, backup_codes text not null,
    user_id text not null references auth."user" (id) on delete cascade,
    verified boolean default true, failed_verification_count integer default 0, locked_until timestamptz);
  create index on auth.two_factor (secret);
  create index on auth.two_factor (user_id)`)
const server = await startAuthServer(t, postgres)
const password = 'correct horse battery'

t.test('the password alone signs nobody in who has a second factor', async t => {
  const email = 'ada@example.com'
  const before = new Browser(server.url, APP_ORIGIN)
  await before.post('/api/auth/sign-up/email', { email, password, name: 'Ada' })
  const enabled = await before.post('/api/auth/two-factor/enable', { password })
  t.match(enabled, { status: 200, json: { totpURI: /^otpauth:/ } })
  await server.sql`update auth."user" set two_factor_enabled = true where email = ${email}`
  const later = new Browser(server.url, APP_ORIGIN)

  const answer = await later.post('/api/auth/sign-in/email', { email, password })

  t.match(answer, { status: 200, json: { twoFactorRedirect: true } })
  t.equal((await later.get('/api/auth/get-session')).json, null)
  t.equal(answer.headers.get('set-auth-token'), null)
  t.notOk(later.cookies.has('better-auth.session_token'))
  t.notOk((await later.post('/api/auth/two-factor/verify-totp', { code: '000000' })).status < 400)
  t.equal((await later.get('/api/auth/get-session')).json, null)
})
