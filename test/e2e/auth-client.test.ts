/** Better Auth's official client against the auth routes, over sockets. */
import { createAuthClient } from 'better-auth/client'
import { adminClient } from 'better-auth/client/plugins'
import t from 'tap'
import { APP_ORIGIN, startAuthServer } from '../support/auth-server.js'
import { startPostgres } from '../support/postgres.js'

const postgres = await startPostgres(t)
const server = await startAuthServer(t, postgres)

/** The client as a browser would carry it: cookies kept, Origin sent. */
function aClient() {
  const jar = new Map<string, string>()
  const client = createAuthClient({
    baseURL: `${server.url}/api/auth`,
    plugins: [adminClient()],
    fetchOptions: {
      customFetchImpl: async (input, init) => {
        const headers = new Headers(init?.headers)
        headers.set('origin', APP_ORIGIN)
        if (jar.size > 0) headers.set('cookie', [...jar].map(pair => pair.join('=')).join('; '))
        const response = await fetch(input, { ...init, headers })
        for (const line of response.headers.getSetCookie()) {
          const [name = '', value = ''] = (line.split(';')[0] ?? '').split(/=(.*)/s)
          if (value === '') jar.delete(name)
          else jar.set(name, value)
        }
        return response
      }
    }
  })
  return { client, jar }
}

const password = 'correct horse battery'
let people = 0

async function signUp() {
  const email = `person-${++people}@example.com`
  const { client, jar } = aClient()
  const { data, error } = await client.signUp.email({ email, password, name: 'Person' })
  if (error !== null) throw new Error(error.message)
  return { client, jar, email, userId: data.user.id }
}

async function makeAdmin(email: string): Promise<void> {
  await server.sql`update auth."user" set role = 'admin' where email = ${email}`
}

t.test('sign-up gives a session and a user with a role (R10)', async t => {
  const { client, userId } = await signUp()

  const { data } = await client.getSession()

  t.match(data, { user: { id: userId, role: 'user' }, session: { userId } })
})

t.test('sign-in after sign-up gives a second session of the same user (R11, R26)', async t => {
  const first = await signUp()
  const second = aClient()

  const { data, error } = await second.client.signIn.email({ email: first.email, password })

  t.equal(error, null)
  t.equal(data?.user.id, first.userId)
  t.equal((await first.client.listSessions()).data?.length, 2)
})

t.test('wrong credentials are told in Better Auth’s own words (R18)', async t => {
  const { email } = await signUp()

  const { error } = await aClient().client.signIn.email({ email, password: 'wrong horse battery' })

  t.match(error, { status: 401, code: 'INVALID_EMAIL_OR_PASSWORD', message: 'Invalid email or password' })
})

t.test('a user lists sessions with address and device, and revokes one of them (R27, R28)', async t => {
  const first = await signUp()
  const second = aClient()
  await second.client.signIn.email({ email: first.email, password })
  const { data: sessions } = await first.client.listSessions()
  const mine = (await first.client.getSession()).data?.session.token
  const other = sessions?.find(({ token }) => token !== mine)
  t.match(other, { ipAddress: '127.0.0.1', userAgent: String })

  const { data } = await first.client.revokeSession({ token: other?.token ?? '' })

  t.strictSame(data, { status: true })
  t.equal((await second.client.getSession()).data, null)
  t.ok((await first.client.getSession()).data, 'the revoking session lives on')
})

t.test('revoking the others leaves exactly one, however many there are', async t => {
  const { client, email, userId } = await signUp()
  await server.sql`
    insert into auth.session (id, token, user_id, expires_at)
    select 'extra-' || n, 'extra-token-' || n, ${userId}, now() + interval '1 day' from generate_series(1, 150) n`

  await client.revokeOtherSessions()

  const [row] = await server.sql`select count(*)::int as n from auth.session where user_id = ${userId}`
  t.equal(row?.n, 1)
  t.equal((await client.getSession()).data?.user.email, email)
})

t.test('sign-out ends the session at once (R14)', async t => {
  const { client, jar, userId } = await signUp()
  const [cookie] = jar

  const { data } = await client.signOut()

  t.match(data, { success: true })
  t.equal(jar.size, 0, 'the browser keeps no cookie')
  if (cookie !== undefined) jar.set(...cookie)
  t.equal((await client.getSession()).data, null, 'the cookie kept aside is worth nothing')
  t.equal((await server.sql`select 1 from auth.session where user_id = ${userId}`).length, 0)
})

t.test('an administrator sets a role', async t => {
  const [admin, user] = [await signUp(), await signUp()]
  await makeAdmin(admin.email)

  const { error } = await admin.client.admin.setRole({ userId: user.userId, role: 'admin' })

  t.equal(error, null)
  t.match((await user.client.getSession()).data, { user: { role: 'admin' } })
})

t.test('an administrator bans a user, which ends the sessions and refuses new ones; unban lets them in', async t => {
  const [admin, user] = [await signUp(), await signUp()]
  await makeAdmin(admin.email)

  await admin.client.admin.banUser({ userId: user.userId, banReason: 'a test' })

  t.equal((await user.client.getSession()).data, null)
  t.match((await user.client.signIn.email({ email: user.email, password })).error, { code: 'BANNED_USER', status: 403 })
  await admin.client.admin.unbanUser({ userId: user.userId })
  t.equal((await user.client.signIn.email({ email: user.email, password })).error, null)
})

t.test('a user is no administrator', async t => {
  const [user, other] = [await signUp(), await signUp()]

  const { error } = await user.client.admin.setRole({ userId: other.userId, role: 'admin' })

  t.equal(error?.status, 403)
})

t.test('every change was applied to the caches before its answer left', async t => {
  const { client } = await signUp()
  const before = server.settled()

  await client.getSession()
  t.equal(server.settled(), before, 'reading changes nothing')
  await client.signOut()
  t.equal(server.settled(), before + 1)
})
