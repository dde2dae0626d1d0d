/**
 * Better Auth 1.7.7 switches its origin and CSRF checks off where NODE_ENV is `test` or TEST is set, in
 * production too. Here both are set before anything of it is loaded.
 */
import t from 'tap'

process.env.NODE_ENV = 'test'
process.env.TEST = '1'
const { APP_ORIGIN, startAuthServer } = await import('../support/auth-server.js')
const { Browser } = await import('../support/browser.js')
const { startPostgres } = await import('../support/postgres.js')

t.test('NODE_ENV=test and TEST weaken nothing', async t => {
  const env = { production: true, baseUrl: 'https://gw.test' }
  const server = await startAuthServer(t, await startPostgres(t), { env })
  const browser = new Browser(server.url, APP_ORIGIN)
  const password = 'correct horse battery'
  await browser.post('/api/auth/sign-up/email', { email: 'ada@example.com', password, name: 'Ada' })
  t.ok(browser.cookies.has('__Secure-better-auth.session_token'), 'Secure as ever')
  const evil = { origin: 'https://evil.test' }

  t.equal((await browser.post('/api/auth/update-user', { name: 'Mallory' }, evil)).status, 403)
  t.equal((await browser.post('/api/auth/sign-out', {}, evil)).status, 403)
  const stranger = new Browser(server.url, 'https://evil.test')
  t.equal((await stranger.post('/api/auth/sign-in/email', { email: 'ada@example.com', password })).status, 403)
  const redirect = { email: 'ada@example.com', redirectTo: 'https://evil.test' }
  t.equal((await browser.post('/api/auth/request-password-reset', redirect)).status, 403)
})

t.test('a list of trusted origins behind the gateway’s back is refused at the start', async t => {
  process.env.BETTER_AUTH_TRUSTED_ORIGINS = 'https://evil.test'
  t.teardown(() => delete process.env.BETTER_AUTH_TRUSTED_ORIGINS)

  await t.rejects(startAuthServer(t, await startPostgres(t)), /BETTER_AUTH_TRUSTED_ORIGINS.*CORS_ORIGINS/)
})
