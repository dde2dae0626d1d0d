/** A new secret signs nobody out: what an older one signed is verified, and signed anew on both sides (C24). */
import t from 'tap'
import { get, post, signUp, startGateway, type TestGateway } from '../support/gateway.js'

const OLD = 'a-secret-for-tests-of-32-characters-or-more'
const NEW = 'another-secret-for-tests-of-32-characters'

type Scope = Parameters<typeof startGateway>[0]

function withSecrets(t: Scope, { postgres }: Pick<TestGateway, 'postgres'>, list: string): Promise<TestGateway> {
  const env = { BETTER_AUTH_SECRET: '', BETTER_AUTH_SECRETS: list }
  return startGateway(t, { postgres, redis: false, env })
}

/** By name, as a browser would send them; the lines as they came beside it. */
function cookiesOf(response: Response): { header: string; lines: Record<string, string> } {
  // Better Auth clears some cookies before it sets them.
  const kept = response.headers.getSetCookie().filter(line => !line.includes('Max-Age=0'))
  return {
    header: kept.map(line => line.slice(0, line.indexOf(';'))).join('; '),
    lines: Object.fromEntries(kept.map(line => [line.slice(0, line.indexOf('=')), line]))
  }
}

const first = await startGateway(t)
const both = await withSecrets(t, first, `2:${NEW},1:${OLD}`)
const last = await withSecrets(t, first, `2:${NEW}`)
const retired = await withSecrets(t, first, `2:${NEW},1!:${OLD}`)

t.test('cookies and tokens of the older secret come back under the newest, and outlive it', async t => {
  const root = await signUp(first, 'admin')
  const ada = await signUp(first)
  const impersonating = cookiesOf(
    await post(first, '/api/auth/admin/impersonate-user', { userId: ada.id }, { cookie: root.cookie })
  )
  const forgetful = cookiesOf(
    await post(first, '/api/auth/sign-in/email', {
      email: ada.email,
      password: 'correct horse battery staple',
      rememberMe: false
    })
  )
  const again = async (cookie: string) => cookiesOf(await get(both, '/api/a/x', { cookie }))

  t.test('an ordinary session', async t => {
    const fresh = await again(ada.cookie)
    t.match(fresh.lines['better-auth.session_token'], /; Max-Age=604[78]\d\d; Path=\/; HttpOnly; SameSite=Lax$/)
    t.equal((await get(last, '/api/a/x', { cookie: ada.cookie })).status, 401, 'the old one goes with its secret')
    t.equal((await get(last, '/api/a/x', { cookie: fresh.header })).status, 200)
    t.strictSame((await again(fresh.header)).lines, {}, 'once')
  })

  t.test('a session the browser is to forget', async t => {
    const fresh = await again(forgetful.header)
    t.strictSame(Object.keys(fresh.lines), ['better-auth.session_token', 'better-auth.dont_remember'])
    t.notMatch(Object.values(fresh.lines).join(), /Max-Age/)
    t.match(await (await get(last, '/api/auth/get-session', { cookie: fresh.header })).json(), { user: { id: ada.id } })
  })

  t.test('an impersonation, and the way back from it', async t => {
    const fresh = await again(impersonating.header)
    t.match(fresh.lines['better-auth.admin_session'], /Max-Age=604800/)
    t.match(fresh.lines['better-auth.dont_remember'], 'better-auth.dont_remember=true.')
    const back = await post(last, '/api/auth/admin/stop-impersonating', {}, { cookie: fresh.header })
    t.match(await back.json(), { user: { id: root.id } })
  })

  t.test('a client that asks Better Auth and nobody else', async t => {
    const eve = await signUp(first)
    const asked = cookiesOf(await get(both, '/api/auth/get-session', { cookie: eve.cookie }))
    t.match(asked.lines['better-auth.session_token'], /Max-Age=604[78]\d\d/)
    t.match(await (await get(last, '/api/auth/get-session', { cookie: asked.header })).json(), { user: { id: eve.id } })
  })

  t.test('a bearer token', async t => {
    const bob = await signUp(first)
    const answer = await get(both, '/api/a/x', { authorization: `Bearer ${bob.bearer}` })
    t.strictSame(answer.headers.getSetCookie(), [])
    t.equal(answer.headers.get('cache-control'), 'no-store')
    const fresh = answer.headers.get('set-auth-token')
    t.equal((await get(last, '/api/a/x', { authorization: `Bearer ${bob.bearer}` })).status, 401)
    t.equal((await get(last, '/api/a/x', { authorization: `Bearer ${fresh}` })).status, 200)
    t.equal((await get(both, '/api/a/x', { authorization: `Bearer ${fresh}` })).headers.get('set-auth-token'), null)
  })
})

t.test('Better Auth itself takes what the older secret signed', async t => {
  const root = await signUp(first, 'admin')
  const ada = await signUp(first)
  const impersonating = cookiesOf(
    await post(first, '/api/auth/admin/impersonate-user', { userId: ada.id }, { cookie: root.cookie })
  )
  await post(first, '/api/auth/send-verification-email', { email: ada.email }, { cookie: ada.cookie })
  const link = new URL(mailedLink(first))
  const verify = (gateway: TestGateway) =>
    get(gateway, `/api/auth/verify-email?token=${link.searchParams.get('token')}`)

  t.equal((await verify(retired)).status, 401, 'nothing signed by a retired secret counts')
  t.match(await (await verify(both)).json(), { status: true })
  const back = await post(both, '/api/auth/admin/stop-impersonating', {}, { cookie: impersonating.header })
  t.match(await back.json(), { user: { id: root.id } }, 'admin_session')
  t.equal((await post(both, '/api/auth/sign-out', {}, { authorization: `Bearer ${ada.bearer}` })).status, 200)
  t.equal((await get(first, '/api/a/x', { cookie: ada.cookie })).status, 401)
})

t.test('a retired secret opens nothing, by no way in', async t => {
  const ada = await signUp(first)
  const bob = await signUp(first)

  t.equal((await get(retired, '/api/a/x', { cookie: ada.cookie })).status, 401)
  t.equal((await get(retired, '/api/a/x', { authorization: `Bearer ${ada.bearer}` })).status, 401)
  t.equal(await (await get(retired, '/api/auth/get-session', { cookie: ada.cookie })).json(), null)
  const asBearer = await get(retired, '/api/auth/get-session', { authorization: `Bearer ${ada.bearer}` })
  t.equal(await asBearer.json(), null)
  const mixed = { cookie: ada.cookie, authorization: `Bearer ${bob.bearer}` }
  t.equal((await get(retired, '/api/a/x', mixed)).status, 401)
  const carol = await signUp(retired)
  t.equal((await get(retired, '/api/a/x', { cookie: carol.cookie })).status, 200)
  t.equal(
    (await get(retired, '/api/auth/token', { cookie: carol.cookie })).status,
    200,
    'what it encrypted is readable'
  )
})

t.test('a whole life: plain, rotated, rotated again', async t => {
  const third = 'a-third-secret-for-tests-of-32-characters'
  const gateways = [first, both, await withSecrets(t, first, `3:${third},2:${NEW},1!:${OLD}`)]
  const kids = gateways.map(async gateway => {
    const { keys } = (await (await get(gateway, '/.well-known/jwks.json')).json()) as { keys: { kid: string }[] }
    return keys.map(({ kid }) => kid)
  })
  const [[signing = ''] = [], ...later] = await Promise.all(kids)
  for (const each of later) t.ok(each.includes(signing), 'the signing key goes on being read')
})

/** Without a mail service links go to the log. */
function mailedLink({ log }: TestGateway): string {
  const line = log.find(each => typeof each['link'] === 'string')
  return String(line?.['link'])
}
