import t from 'tap'
import { createSessionQuery } from '../../../src/session/session-query.js'
import { APP_ORIGIN, startAuthServer } from '../../support/auth-server.js'
import { Browser } from '../../support/browser.js'
import { storedSessions } from '../../support/sessions.js'
import { SHAPES, shapeOf, startShapes } from '../../support/shapes.js'

const password = 'correct horse battery'

t.test('Better Auth on the inspected tables', async t => {
  const shapes = await startShapes(t)

  const plain = ['kysely-core', 'drizzle-core'].map(name => ({ name, organizations: false }))
  for (const { name, organizations } of [...SHAPES, ...plain]) {
    t.test(`${name}: signs up, in and out, and what it writes is what the one query reads`, async t => {
      const { sql, url } = await shapes.open(t, name)
      await sql.unsafe(`alter database ${sql.options.database} set TimeZone to 'America/New_York'`)
      const server = await startAuthServer(t, { url })
      const browser = new Browser(server.url, APP_ORIGIN)
      const ask = async () => {
        const { single } = createSessionQuery(await shapeOf(sql))
        const token = decodeURIComponent(browser.cookies.get('better-auth.session_token') ?? '').split('.')[0] ?? ''
        return storedSessions(sql, single, token)
      }

      const signedUp = await browser.post('/api/auth/sign-up/email', {
        email: 'ada@example.com',
        password,
        name: 'Ada'
      })
      t.equal(signedUp.status, 200)
      await browser.post('/api/auth/sign-out')
      const signedIn = await browser.post('/api/auth/sign-in/email', { email: 'ada@example.com', password })
      t.equal(signedIn.status, 200)

      const userId = signedIn.at('user.id')
      t.match((await browser.get('/api/auth/get-session')).json, { user: { id: userId }, session: { userId } })
      t.match(await ask(), [{ banned: false, session: { userId, email: 'ada@example.com', roles: ['user'] } }])
      const [stored] = await ask()
      t.ok(
        Math.abs((stored?.session.expiresAt ?? 0) - Date.now() - 604_800_000) < 30_000,
        'seven days, in any TimeZone'
      )
      t.equal((await browser.get('/api/auth/token')).status, 200)
      if (organizations) {
        const made = await browser.post('/api/auth/organization/create', { name: 'Engines', slug: 'engines' })
        t.match(await ask(), [{ session: { organizationId: made.at('id'), organizationRole: 'owner' } }])
      }

      const signedInAs = await ask()
      await browser.post('/api/auth/sign-out')
      t.equal(signedInAs.length, 1)
      const left = await sql.unsafe(createSessionQuery(await shapeOf(sql)).single, [signedInAs[0]?.token ?? ''])
      t.same(left, [])
    })
  }

  t.test('a user with a second factor is asked for it', async t => {
    const { url } = await shapes.open(t, 'kysely-two-factor')
    const server = await startAuthServer(t, { url })
    const browser = new Browser(server.url, APP_ORIGIN)
    await browser.post('/api/auth/sign-up/email', { email: 'ada@example.com', password, name: 'Ada' })
    t.equal((await browser.post('/api/auth/two-factor/enable', { password })).status, 200)
    await server.sql`update "user" set "twoFactorEnabled" = true`
    await server.sql`update "twoFactor" set verified = true`

    const again = new Browser(server.url, APP_ORIGIN)
    const answer = await again.post('/api/auth/sign-in/email', { email: 'ada@example.com', password })

    t.match(answer.json, { twoFactorRedirect: true })
    t.equal((await again.get('/api/auth/get-session')).json, null)
  })
})
