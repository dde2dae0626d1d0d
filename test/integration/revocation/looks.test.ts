/**
 * Which answers wait until the caches know: all but those of a short list of GETs. Every endpoint of Better Auth and
 * its plugins as the gateway runs them is held against that list, and each GET on it is asked whether it only looks.
 */
import { getEndpoints } from 'better-auth/api'
import postgres from 'postgres'
import t from 'tap'
import { LOOKS, mayChangeState } from '../../../src/auth/may-change-state.js'
import { APP_ORIGIN, startAuthServer } from '../../support/auth-server.js'
import { Browser } from '../../support/browser.js'
import { startPostgres } from '../../support/postgres.js'
import { twoFactorTables } from '../../support/two-factor.js'

const database = await startPostgres(t)
const sql = postgres(database.superUrl, { max: 1, onnotice: () => {} })
t.teardown(() => sql.end({ timeout: 1 }))
// The tables first, so that the second one finds those of the second factor.
await startAuthServer(t, database)
await twoFactorTables(sql)
const server = await startAuthServer(t, database)
const { context } = server.auth

interface Endpoint {
  readonly path?: string
  readonly options: { readonly method: string | readonly string[]; readonly metadata?: { readonly SERVER_ONLY?: true } }
}

const { api } = getEndpoints(context, context.options)
const endpoints = (Object.values(api) as unknown as Endpoint[]).flatMap(({ path, options }) =>
  path === undefined || options.metadata?.SERVER_ONLY
    ? []
    : [options.method].flat().map(method => ({ method, path: path.replace(/:\w+/, 'something') }))
)

const ada = new Browser(server.url, APP_ORIGIN)
const signedUp = await ada.post('/api/auth/sign-up/email', {
  email: 'ada@example.com',
  password: 'correct horse battery',
  name: 'Ada'
})
const userId = signedUp.at('user.id')
await sql`update auth."user" set role = 'admin', email_verified = true where id = ${userId}`
const organizationId = (await ada.post('/api/auth/organization/create', { name: 'Org', slug: 'org' })).at('id')
const invited = await ada.post('/api/auth/organization/invite-member', { email: 'b@example.com', role: 'member' })
// To Ada herself, so that she may read it.
await sql`update auth.invitation set email = 'ada@example.com' where id = ${invited.at('id')}`

/** What each of them needs to be answered. */
const QUERY: Readonly<Record<string, string>> = {
  '/admin/get-user': `?id=${userId}`,
  '/admin/list-users': '?limit=10',
  '/organization/get-invitation': `?id=${invited.at('id')}`,
  '/organization/list-members': `?organizationId=${organizationId}`,
  '/organization/list-invitations': `?organizationId=${organizationId}`
}
/** Ada has no account elsewhere to tell of; the page of errors is for browsers. */
const REFUSED: Readonly<Record<string, number>> = { '/account-info': 400 }

t.test('every endpoint but the GETs that only look waits until the caches know', async t => {
  t.ok(endpoints.length > 75, `${endpoints.length} endpoints`)
  for (const { method, path } of endpoints) {
    const waits = method !== 'GET' || !LOOKS.has(path)
    t.equal(mayChangeState(method, path), waits, `${method} ${path}`)
  }
  t.equal(mayChangeState('GET', '/of-a-plugin/to-come'), true)
  for (const path of LOOKS) {
    t.ok(
      endpoints.some(each => each.method === 'GET' && each.path === path),
      `${path} is there`
    )
  }
})

for (const path of LOOKS) {
  t.test(`GET ${path} changes nothing`, async t => {
    const before = await everything()
    const settled = server.settled()

    const answer = await ada.get(`/api/auth${path}${QUERY[path] ?? ''}`)

    t.equal(answer.status, REFUSED[path] ?? 200, answer.text.slice(0, 200))
    t.strictSame(await everything(), before)
    t.equal(server.settled(), settled, 'and waits for nobody')
  })
}

t.test('get-session extends a session that is due and clears one that has expired: no cache holds either', async t => {
  const outbox = async () => (await sql`select count(*)::int as rows from auth.gateway_outbox`)[0]?.['rows']
  const before = await outbox()
  await sql`update auth.session set created_at = now() - interval '3 days', expires_at = now() + interval '4 days'`
  const moved = await outbox()
  t.equal((await ada.get('/api/auth/get-session')).at('user.id'), userId)
  const [due] = await sql`select expires_at > now() + interval '6 days' as extended from auth.session`
  t.equal(due?.['extended'], true)
  t.equal(await outbox(), moved)

  const late = new Browser(server.url, APP_ORIGIN)
  await late.post('/api/auth/sign-in/email', { email: 'ada@example.com', password: 'correct horse battery' })
  await sql`update auth.session set expires_at = now() - interval '1 second' where created_at > now() - interval '1 day'`
  const ended = await outbox()
  t.equal((await late.get('/api/auth/get-session')).json, null)
  t.equal((await sql`select from auth.session`).length, 1)
  t.equal(await outbox(), ended)
  t.ok(ended > before, 'the outbox is looked at')
})

t.test('HEAD and OPTIONS reach no endpoint', async t => {
  const before = await everything()
  for (const path of new Set(endpoints.map(each => each.path))) {
    for (const method of ['HEAD', 'OPTIONS']) {
      const headers = { cookie: ada.cookieHeader(), origin: APP_ORIGIN }
      const { status } = await fetch(`${server.url}/api/auth${path}`, { method, headers })
      t.ok(status >= 400, `${method} ${path}: ${status}`)
    }
  }
  t.strictSame(await everything(), before)
})

t.test('a refusal that changed something waits too, one that did not does not', async t => {
  const bob = new Browser(server.url, APP_ORIGIN)
  await bob.post('/api/auth/sign-up/email', { email: 'bob@example.com', password: 'correct horse battery', name: 'B' })
  await bob.post('/api/auth/organization/create', { name: 'Bob', slug: 'bob' })
  const settled = server.settled()

  t.equal((await bob.post('/api/auth/change-password', { newPassword: 'x', currentPassword: 'y' })).status, 400)
  t.equal(server.settled(), settled)
  t.equal((await bob.post('/api/auth/organization/set-active', { organizationId })).status, 403)
  t.equal(server.settled(), settled + 1)
  const looked = await bob.get(`/api/auth/organization/get-full-organization?organizationId=${organizationId}`)
  t.equal(looked.status, 403)
  t.equal(server.settled(), settled + 2)
})

/** A fingerprint of every table. */
async function everything(): Promise<Record<string, string>> {
  const names = await sql<{ name: string }[]>`
    select table_name as name from information_schema.tables where table_schema = 'auth'`
  const prints: Record<string, string> = {}
  for (const { name } of names) {
    const [row] = await sql`
      select md5(string_agg(r::text, ',' order by r::text)) as print from ${sql(`auth.${name}`)} r`
    prints[name] = String(row?.['print'])
  }
  return prints
}
