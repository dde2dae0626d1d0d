/** The main job, end to end: sign up, call, be refused, sign out; on real parts and real sockets. */
import t from 'tap'
import { get, post, signIn, signUp, startGateway } from '../support/gateway.js'

t.test('who signs up is known to the upstream until he signs out (R1, R3, R10, R14, R54)', async t => {
  const gateway = await startGateway(t)
  const ada = await signUp(gateway)

  const call = await get(gateway, '/api/a/things?x=1', { cookie: `theme=dark; ${ada.cookie}` })

  t.equal(call.status, 200)
  const [received] = gateway.upstream.received
  t.equal(received?.url, '/api/a/things?x=1')
  t.match(received?.headers, {
    'x-user-id': ada.id,
    'x-user-email': ada.email,
    'x-user-email-verified': 'false',
    'x-user-roles': 'user',
    'x-session-id': /./,
    authorization: 'Bearer the-internal-key',
    cookie: 'theme=dark',
    'x-request-id': call.headers.get('x-request-id') as string,
    traceparent: /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/
  })

  const signOut = await post(gateway, '/api/auth/sign-out', {}, { cookie: ada.cookie })
  t.equal(signOut.status, 200)
  const after = await get(gateway, '/api/a/things', { cookie: ada.cookie })

  t.equal(after.status, 401)
  t.match(await after.json(), { success: false, code: 'INVALID_SESSION', requestId: after.headers.get('x-request-id') })
  t.equal(gateway.upstream.received.length, 1, 'the upstream heard nothing of it')
})

t.test('a route with roles takes those who have one, and nobody else (R59, R60)', async t => {
  const gateway = await startGateway(t)
  const user = await signUp(gateway)
  const admin = await signUp(gateway, 'support, admin')

  const anonymous = await get(gateway, '/api/a/admin/x')
  const refused = await get(gateway, '/api/a/admin/x', { cookie: user.cookie })
  const granted = await get(gateway, '/api/a/admin/x', { cookie: admin.cookie })

  t.equal(anonymous.status, 401)
  t.match(anonymous.headers.get('www-authenticate'), /^Bearer realm="session-gateway"/)
  t.match(await anonymous.json(), { code: 'AUTHENTICATION_REQUIRED' })
  t.equal(refused.status, 403)
  t.match(await refused.json(), { success: false, code: 'INSUFFICIENT_ROLE', error: /./ })
  t.equal(granted.status, 200)
  t.equal(gateway.upstream.received.length, 1)
})

t.test('a bearer token opens what the cookie opens, and is not passed on (R38)', async t => {
  const gateway = await startGateway(t)
  const ada = await signUp(gateway)

  for (const path of ['/api/b/x', '/public/x', '/optional/x']) {
    const call = await get(gateway, path, { authorization: `Bearer ${ada.bearer}` })

    t.equal(call.status, 200, path)
    const received = gateway.upstream.received.at(-1)
    t.notMatch(JSON.stringify(received?.rawHeaders), ada.bearer.slice(0, 32), path)
  }
  t.equal(gateway.upstream.received[0]?.url, '/b/x', 'the prefix is cut')
})

for (const [source, lease] of [
  ['local', '1000'],
  ['redis', '0']
] as const) {
  t.test(`the second look-up of a session is answered by ${source}, a strict one never is (R49, R52)`, async t => {
    const gateway = await startGateway(t, { env: { SESSION_LOCAL_LEASE: lease } })
    const ada = await signUp(gateway)
    const ask = async (path: string) => {
      await (await get(gateway, path, { cookie: ada.cookie })).arrayBuffer()
      return gateway.log.findLast(line => line['path'] === path)?.['source']
    }

    t.equal(await ask('/api/a/1'), 'postgres')
    t.equal(await ask('/api/a/2'), source)
    t.equal(await ask('/api/strict/1'), 'postgres')
    t.equal(await ask('/api/strict/2'), 'postgres')
  })
}

t.test('a change made by SQL is in force: role, ban, deletion (R42, R43)', async t => {
  const gateway = await startGateway(t)
  const ada = await signUp(gateway, 'admin')
  const status = async (path: string) => (await get(gateway, path, { cookie: ada.cookie })).status
  t.equal(await status('/api/a/admin/x'), 200)

  await gateway.sql`update auth."user" set role = 'user' where id = ${ada.id}`
  await becomes(() => status('/api/a/admin/x'), 403)
  await gateway.sql`update auth."user" set banned = true where id = ${ada.id}`
  await becomes(() => status('/api/a/x'), 401)
  await gateway.sql`update auth."user" set ban_expires = now() - interval '1 second' where id = ${ada.id}`
  await becomes(() => status('/api/a/x'), 200)
  await gateway.sql`delete from auth.session where user_id = ${ada.id}`
  await becomes(() => status('/api/a/x'), 401)
})

t.test('several sessions of one user end one by one (R26, R27)', async t => {
  const gateway = await startGateway(t)
  const ada = await signUp(gateway)
  const second = await signIn(gateway, ada.email)

  const listed = await get(gateway, '/api/auth/list-sessions', { cookie: ada.cookie })
  t.equal(((await listed.json()) as unknown[]).length, 2)
  const token = second.bearer.slice(0, second.bearer.indexOf('.'))
  t.equal((await post(gateway, '/api/auth/revoke-session', { token }, { cookie: ada.cookie })).status, 200)

  t.equal((await get(gateway, '/api/a/x', { cookie: second.cookie })).status, 401)
  t.equal((await get(gateway, '/api/a/x', { cookie: ada.cookie })).status, 200)
})

/** Polling is twice a second; the bound here is the promise of one second by polling alone. */
async function becomes(ask: () => Promise<number>, expected: number): Promise<void> {
  const end = performance.now() + 1500
  let last = await ask()
  while (last !== expected && performance.now() < end) last = await ask()
  t.equal(last, expected)
}
