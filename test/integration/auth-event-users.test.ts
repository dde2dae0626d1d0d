/** Whose doing an auth event was: of the session the request came with, or of the one it began (R87). */
import t from 'tap'
import { APP_ORIGIN, startAuthServer } from '../support/auth-server.js'
import { Browser } from '../support/browser.js'
import { eventually } from '../support/eventually.js'
import { startPostgres } from '../support/postgres.js'

const server = await startAuthServer(t, await startPostgres(t))
const password = 'correct horse battery'

async function signedUp(email: string) {
  const browser = new Browser(server.url, APP_ORIGIN)
  const answer = await browser.post('/api/auth/sign-up/email', { email, password, name: 'Person' })
  return { browser, userId: answer.at('user.id'), bearer: answer.headers.get('set-auth-token') ?? '' }
}

t.test('every event bears the user, also those of plugins and those that were refused', async t => {
  const { browser, userId } = await signedUp('ada@example.com')
  const organizationId = (await browser.post('/api/auth/organization/create', { name: 'Org', slug: 'org' })).at('id')
  const asked: readonly (readonly [string, object, number])[] = [
    ['/organization/set-active', { organizationId }, 200],
    ['/organization/set-active', { organizationId: 'of-strangers' }, 403],
    ['/organization/invite-member', { organizationId, email: 'b@example.com', role: 'member' }, 200],
    ['/organization/delete', { organizationId }, 200],
    ['/admin/set-role', { userId, role: 'admin' }, 403],
    ['/change-password', { currentPassword: 'wrong password', newPassword: password }, 400],
    ['/update-user', { name: 'Ada' }, 200],
    ['/revoke-other-sessions', {}, 200],
    ['/sign-out', {}, 200]
  ]
  for (const [path, body, status] of asked) {
    t.equal((await browser.post(`/api/auth${path}`, body)).status, status, path)
  }

  await eventually(() => server.events.length === asked.length + 2, 'every answer is sent')
  for (const { event, outcome, ...fact } of server.events) t.equal(fact.userId, userId, `${event} ${outcome}`)
})

t.test('a sign-out by bearer too; a second one, of nobody any more, is nobody’s', async t => {
  const { userId, bearer } = await signedUp('bob@example.com')
  const signOut = () =>
    fetch(`${server.url}/api/auth/sign-out`, { method: 'POST', headers: { authorization: `Bearer ${bearer}` } })
  const before = server.events.length

  t.equal((await signOut()).status, 200)
  t.equal((await signOut()).status, 200)

  await eventually(() => server.events.length === before + 2, 'both are told')
  t.strictSame(
    server.events.slice(before).map(event => event.userId),
    [userId, null]
  )
})
