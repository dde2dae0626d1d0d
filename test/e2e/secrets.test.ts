/** Another secret: what was encrypted with the old one is not what everything hangs on (R84, C24). */
import t from 'tap'
import { get, signUp, startGateway } from '../support/gateway.js'

const NEW = 'another-secret-for-tests-of-32-characters'
const OLD = 'a-secret-for-tests-of-32-characters-or-more'

t.test('a rotated secret logs nobody out, and assertions go on being signed to the end of it', async t => {
  const first = await startGateway(t)
  const ada = await signUp(first)
  t.equal((await get(first, '/api/b/x', { cookie: ada.cookie })).status, 200)
  const shared = { postgres: first.postgres, redis: false as const }

  const both = await startGateway(t, {
    ...shared,
    env: { BETTER_AUTH_SECRET: '', BETTER_AUTH_SECRETS: `2:${NEW},1:${OLD}` }
  })
  t.equal((await get(both, '/api/b/x', { cookie: ada.cookie })).status, 200, 'the old cookie')
  const bob = await signUp(both)

  const last = await startGateway(t, { ...shared, env: { BETTER_AUTH_SECRET: '', BETTER_AUTH_SECRETS: `2:${NEW}` } })
  t.equal((await get(last, '/api/b/x', { cookie: ada.cookie })).status, 401, 'signed with the secret that is gone')
  t.equal((await get(last, '/api/b/x', { cookie: bob.cookie })).status, 200)
  t.match(last.upstream.received.at(-1)?.headers['x-gateway-assertion'], /^eyJ/)
  t.equal((await get(last, '/api/auth/token', { cookie: bob.cookie })).status, 200)
  t.equal((await get(last, '/.well-known/jwks.json')).status, 200)
  t.equal((await get(last, '/readyz')).status, 200)
})

t.test('a secret that was replaced outright ends sessions, and nothing else', async t => {
  const first = await startGateway(t)
  const ada = await signUp(first)
  const second = await startGateway(t, { postgres: first.postgres, redis: false, env: { BETTER_AUTH_SECRET: NEW } })

  t.equal((await get(second, '/api/b/x', { cookie: ada.cookie })).status, 401)
  const bob = await signUp(second)
  t.equal((await get(second, '/api/b/x', { cookie: bob.cookie })).status, 200)
  t.equal((await get(second, '/api/auth/token', { cookie: bob.cookie })).status, 200)
})

t.test('a token in the path of a mailed link does not reach the log', async t => {
  const gateway = await startGateway(t)

  await get(gateway, '/api/auth/reset-password/SECRETRESETTOKEN?callbackURL=%2Fx')

  t.equal(gateway.log.at(-1)?.['path'], '/api/auth/reset-password/:token')
  t.notMatch(JSON.stringify(gateway.log), 'SECRETRESETTOKEN')
})
