/**
 * PostgreSQL stopped, frozen, back: what we cannot know is a 503, never a 401 and never an open door (K06, K07, K13).
 */
import t, { type Test } from 'tap'
import { get, post, signUp, startGateway, type TestGateway, type TestUser } from '../support/gateway.js'

async function timed(ask: () => Promise<Response>) {
  const startedAt = performance.now()
  const response = await ask()
  return { response, ms: performance.now() - startedAt }
}

async function callsAre(t: Test, gateway: TestGateway, users: { cached: TestUser; unknown: TestUser }) {
  const cached = await get(gateway, '/api/a/x', { cookie: users.cached.cookie })
  t.equal(cached.status, 200, 'a cached session goes on')

  const { response, ms } = await timed(() => get(gateway, '/api/a/x', { cookie: users.unknown.cookie }))
  t.equal(response.status, 503, 'an uncached one cannot be known')
  t.match(await response.json(), { code: 'AUTH_SERVICE_UNAVAILABLE' })
  t.match(response.headers.get('retry-after'), /^\d+$/)
  t.ok(ms < 2000, `within the time a caller waits (${Math.round(ms)} ms)`)

  for (const cookie of ['', 'better-auth.session_token=forged.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D']) {
    t.equal((await get(gateway, '/api/a/x', { cookie })).status, 401, 'no credential, no entry')
  }
  t.equal((await get(gateway, '/public/x')).status, 200, 'public routes need no database')
  t.equal((await get(gateway, '/livez')).status, 200)
  t.equal((await get(gateway, '/readyz')).status, 503)
}

t.test('PostgreSQL stopped and started again', async t => {
  const gateway = await startGateway(t)
  const users = { cached: await signUp(gateway), unknown: await signUp(gateway) }
  await get(gateway, '/api/a/x', { cookie: users.cached.cookie })
  await gateway.postgres.stop()

  await callsAre(t, gateway, users)
  const signOut = await post(gateway, '/api/auth/sign-out', {}, { cookie: users.cached.cookie })
  t.equal(signOut.status, 503, 'a sign-out that could not delete its row says so')
  t.strictSame(signOut.headers.getSetCookie(), [], 'and the browser keeps its cookie')
  const signIn = await post(gateway, '/api/auth/sign-in/email', {
    email: users.cached.email,
    password: 'whatever-it-is'
  })
  t.equal(signIn.status, 503)

  await gateway.postgres.restart()
  await becomes(t, async () => (await get(gateway, '/api/a/x', { cookie: users.unknown.cookie })).status, 200)
  await becomes(t, async () => (await get(gateway, '/readyz')).status, 200)
})

t.test('PostgreSQL frozen: connections stay open and nothing answers', async t => {
  const gateway = await startGateway(t)
  const users = { cached: await signUp(gateway), unknown: await signUp(gateway) }
  await get(gateway, '/api/a/x', { cookie: users.cached.cookie })
  await gateway.postgres.pause()
  t.teardown(() => gateway.postgres.resume())

  await callsAre(t, gateway, users)

  const signOut = await timed(() => post(gateway, '/api/auth/sign-out', {}, { cookie: users.cached.cookie }))
  t.equal(signOut.response.status, 503)
  t.strictSame(signOut.response.headers.getSetCookie(), [], 'the browser keeps its cookie')
  t.ok(signOut.ms < 3000, `no longer than it takes to find out (${Math.round(signOut.ms)} ms)`)

  await gateway.postgres.resume()
  await becomes(t, async () => (await get(gateway, '/api/a/x', { cookie: users.cached.cookie })).status, 401)
  await becomes(t, async () => (await get(gateway, '/api/a/x', { cookie: users.unknown.cookie })).status, 200)
})

async function becomes(t: Test, ask: () => Promise<number>, expected: number): Promise<void> {
  const end = performance.now() + 8000
  let last = await ask()
  while (last !== expected && performance.now() < end) last = await ask()
  t.equal(last, expected)
}
