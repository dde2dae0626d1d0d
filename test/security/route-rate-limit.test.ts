/** A limit of a route: who is counted, how it is dodged, and what a refused caller costs. */
import t, { type Test } from 'tap'
import { type Outcome, person, refused, startAttack } from '../support/attack.js'
import { signIn } from '../support/gateway.js'

const yaml = `
upstreams:
  a: { targets: [$UPSTREAM] }
routes:
  - { name: by-user, path: /user/*, upstream: a, access: session, rateLimit: { max: 3, window: 1h, by: user } }
  - { name: by-ip, path: /ip/*, upstream: a, access: public, rateLimit: { max: 3, window: 1h, by: ip } }
  - { name: spelled, path: /spelled/*, upstream: a, access: public, rateLimit: { max: 3, window: 1h, by: ip } }
  - { name: apart, path: /apart/*, upstream: a, access: public, rateLimit: { max: 3, window: 1h, by: ip } }
  - { name: admin, path: /admin/*, upstream: a, access: { roles: [admin] }, rateLimit: { max: 3, window: 1h, by: ip } }
  - { name: loose, path: /v1/*, upstream: a, access: public }
  - { name: tight, path: /v1/export/*, upstream: a, access: public, rateLimit: { max: 3, window: 1h, by: ip } }
`
const first = await startAttack(t, { yaml })
const { gateway, send, user, admin } = first
const second = await startAttack(t, {
  yaml,
  postgres: gateway.postgres,
  redis: gateway.redis ?? false,
  upstream: gateway.upstream
})
const behindProxy = await startAttack(t, { yaml, postgres: gateway.postgres, env: { TRUSTED_PROXIES: '127.0.0.1' } })

/** Three pass, the fourth does not. */
async function threeOf(t: Test, ask: (i: number) => Promise<Outcome>, message = ''): Promise<void> {
  for (let i = 0; i < 3; i++) t.equal((await ask(i)).status, 200, `${message} ${i}`)
  const last = await ask(3)
  refused(t, last, 429, 'RATE_LIMITED', message)
  const seconds = Number(last.answer.header('retry-after'))
  t.ok(seconds > 3500 && seconds <= 3600, `Retry-After: ${seconds}`)
}

t.test('a limit by user counts the user: across sessions and credentials, on every node (F11)', async t => {
  const again = await signIn(gateway, user.email)
  const credentials = [
    user.cookieLine,
    `Authorization: Bearer ${again.bearer}`,
    `Cookie: ${again.cookie}`,
    user.cookieLine
  ]
  const nodes = [send, second.send]
  await threeOf(t, i => (nodes[i % 2] ?? send)('GET /user/x', [credentials[i] ?? '']))

  refused(t, await second.send('GET /user/x', [user.cookieLine]), 429, 'RATE_LIMITED', 'the other node knows')
  t.equal((await send('GET /user/x', [admin.cookieLine])).status, 200, 'somebody else is not concerned')
  t.match((await send('GET /user/x', [admin.cookieLine])).answer.header('ratelimit'), /^"by-user";r=1;t=\d+$/)
})

t.test('a limit by address is not dodged by what the client writes (F02)', async t => {
  const claims = ['X-Forwarded-For: 1.1.1.1', 'X-Real-IP: 2.2.2.2', 'Forwarded: for=3.3.3.3', 'True-Client-IP: 4.4.4.4']
  await threeOf(t, i => send('GET /ip/x', [claims[i] ?? '']))
  refused(t, await send('GET /ip/x', [user.cookieLine]), 429, 'RATE_LIMITED', 'signing in gives no second budget')
})

t.test('every spelling of a path is one budget (F10)', async t => {
  const spellings = ['/spelled/x', '/%73pelled/x?y', '/spelled', '/spelled/Y/']
  await threeOf(t, i => send(`GET ${spellings[i]}`))
  for (const method of ['HEAD', 'POST', 'DELETE']) {
    t.equal((await send(`${method} /spelled/x`, ['Content-Length: 0'])).status, 429, method)
  }
})

t.test('a path that a server may read as a limited one is under its limit (A18)', async t => {
  const readings = ['/v1/export/x', '/v1/Export/x', '/v1/export.json', '/v1/EXPORT']
  await threeOf(t, i => send(`GET ${readings[i]}`))
})

const from = (address: string) => behindProxy.send('GET /ip/x', [`X-Forwarded-For: ${address}`])

t.test('behind a trusted proxy every client has its own budget, an IPv6 network one (F03, F05, F06)', async t => {
  await threeOf(t, i => from(i % 2 ? '203.0.113.1' : '::ffff:203.0.113.1'), 'one IPv4 address in two spellings')
  t.equal((await from('203.0.113.2')).status, 200, 'its neighbour')
  refused(t, await from('8.8.8.8, 203.0.113.1'), 429, 'RATE_LIMITED', 'the left side is anybody’s claim')
  await threeOf(t, i => from(`2001:db8:1:2::${i + 1}`), 'one /64')
  t.equal((await from('2001:db8:1:3::1')).status, 200, 'another /64')
})

t.test('routes are counted apart, and who is refused anyway uses nothing up', async t => {
  for (let i = 0; i < 5; i++) t.equal((await send('GET /admin/x', [user.cookieLine])).status, 403)
  for (let i = 0; i < 5; i++) t.equal((await send('GET /admin/x')).status, 401)
  await threeOf(t, () => send('GET /admin/x', [admin.cookieLine]))
  await threeOf(t, () => send('GET /apart/x'))
})

t.test('without Redis, and when it goes, the process counts on', async t => {
  const alone = await startAttack(t, { yaml, postgres: gateway.postgres, redis: false })
  const somebody = await person(alone.gateway)
  await threeOf(t, () => alone.send('GET /user/x', [somebody.cookieLine]))

  await gateway.redis?.stop()
  t.equal((await send('GET /apart/x')).status, 429, 'what was used up stays used up')
  const another = await person(gateway)
  await threeOf(t, () => send('GET /user/x', [another.cookieLine]))
})
