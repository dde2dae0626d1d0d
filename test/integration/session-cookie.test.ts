/** A cookie of ours replaces the one of Better Auth only if both are written the same (R33, R34, R35). */
import t from 'tap'
import { setCookie } from '../../src/session/session-cookie.js'
import { startAuthServer } from '../support/auth-server.js'
import { Browser } from '../support/browser.js'
import { startPostgres } from '../support/postgres.js'

const CASES = {
  'plain http': { baseUrl: 'http://gw.test' },
  'https, a domain, cross-site': {
    baseUrl: 'https://gw.example.com',
    cookieDomain: '.example.com',
    cookieSameSite: 'none'
  },
  'https, strict': { baseUrl: 'https://gw.example.com', cookieSameSite: 'strict' }
} as const

t.test('cookies are written as Better Auth writes them', async t => {
  const postgres = await startPostgres(t)
  for (const [what, env] of Object.entries(CASES)) {
    t.test(what, async t => {
      const secret = 'a-secret-of-the-tests-of-more-than-32-characters'
      const { url, auth, sql } = await startAuthServer(t, postgres, { env, secrets: [{ version: 1, value: secret }] })
      const browser = new Browser(url, env.baseUrl)
      const ada = { name: 'Ada', email: `${Math.random()}@example.com`, password: 'correct horse battery staple' }
      const { headers } = await browser.post('/api/auth/sign-up/email', ada)
      const forgetful = await browser.post('/api/auth/sign-in/email', { ...ada, rememberMe: false })
      const [line = ''] = headers.getSetCookie()
      const { sessionToken, dontRememberToken } = auth.context.authCookies
      const rows = await sql<{ token: string }[]>`select token from auth.session order by created_at desc limit 2`
      const [later = '', first = ''] = rows.map(({ token }) => token)

      t.equal(setCookie(sessionToken, first, secret, 604_800), line)
      t.same(forgetful.headers.getSetCookie(), [
        setCookie(sessionToken, later, secret, null),
        setCookie(dontRememberToken, 'true', secret, null)
      ])
    })
  }
})
