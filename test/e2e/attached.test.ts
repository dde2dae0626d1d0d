/**
 * AUTH_MODE=attached: Better Auth runs elsewhere on the same database, here another gateway; this one only validates.
 */
import postgres from 'postgres'
import t from 'tap'
import { get, migratedPostgres, post, signUp, startGateway } from '../support/gateway.js'

t.test('sessions of the other server open routes here, and end here when they end there', async t => {
  const hosted = await startGateway(t)
  const attached = await startGateway(t, {
    postgres: hosted.postgres,
    redis: hosted.redis ?? false,
    env: { AUTH_MODE: 'attached', BETTER_AUTH_URL: hosted.origin },
    yaml: `
upstreams:
  app: { targets: [$UPSTREAM], audience: app }
  auth: { targets: ['http://127.0.0.1:${hosted.port}'] }
routes:
  - { name: app, path: /api/app/*, upstream: app, access: session }
  - { name: auth, path: /api/auth/*, upstream: auth, access: public }
`
  })
  const ada = await signUp(hosted)

  t.equal((await get(attached, '/api/app/x', { cookie: ada.cookie })).status, 200)
  t.match(attached.upstream.received[0]?.headers['x-gateway-assertion'], /^eyJ/, 'signed with the shared keys')

  const through = await get(attached, '/api/auth/get-session', { cookie: ada.cookie })
  t.match(await through.json(), { user: { id: ada.id } }, 'the cookie reaches Better Auth, nobody else')
  const signedIn = await post(
    attached,
    '/api/auth/sign-in/email',
    { email: ada.email, password: 'correct horse battery staple' },
    { origin: hosted.origin }
  )
  t.match(signedIn.headers.getSetCookie()[0], /^better-auth\.session_token=/, 'and may be set by it')

  t.equal((await post(hosted, '/api/auth/sign-out', {}, { cookie: ada.cookie })).status, 200)
  t.equal((await get(attached, '/api/app/x', { cookie: ada.cookie })).status, 401)
})

t.test('without a route, /api/auth/* is nothing here', async t => {
  const attached = await startGateway(t, { env: { AUTH_MODE: 'attached' } })

  t.equal((await get(attached, '/api/auth/get-session')).status, 404)
})

t.test('an upstream with an audience is refused where no key can ever sign for it', async t => {
  const database = await migratedPostgres(t)
  const sql = postgres(database.superUrl, { max: 1 })
  await sql`drop table auth.jwks`
  await sql.end()

  const refusal = await startGateway(t, { postgres: database, env: { AUTH_MODE: 'attached' } }).catch(error => error)

  t.match(refusal.problems, [{ place: /audience/, message: /jwks/ }])
})
