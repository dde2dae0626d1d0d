import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { AssertionIssuer } from '../../../src/identity/assertion.js'
import { KeyRing } from '../../../src/identity/key-ring.js'
import { aSession } from '../../support/sessions.js'

const START = Date.UTC(2026, 10, 21, 12)

async function anIssuer(t: { teardown: (fn: () => unknown) => unknown }, { withKey = true } = {}) {
  let now = START
  const clock = () => now
  const { privateKey } = generateKeyPairSync('ed25519')
  const key = { kid: 'key-1', privateKey, createdAt: START, expiresAt: null }
  const ring = new KeyRing(async () => (withKey ? [key] : []), clock)
  t.teardown(() => ring.stop())
  await ring.start()
  const issuer = new AssertionIssuer('https://gw.example.com', ring, clock)
  return { issuer, pass: (seconds: number) => (now += seconds * 1000) }
}

function claimsOf(token: string) {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}

const session = aSession({ expiresAt: START + 3_600_000, roles: ['user', 'editor'] })

t.test(
  'the assertion names issuer, audience, user, session and roles, and lives a minute at most (B30, R56)',
  async t => {
    const { issuer } = await anIssuer(t)

    const { iat, exp, jti, ...claims } = claimsOf(issuer.assertionFor(session, 'orders'))

    t.strictSame(claims, {
      iss: 'https://gw.example.com',
      aud: 'orders',
      sub: 'ada',
      sid: 'session-1',
      email: 'ada@example.com',
      email_verified: true,
      roles: ['user', 'editor']
    })
    t.equal(iat, START / 1000)
    t.equal(exp - iat, 60)
    t.match(jti, /^[0-9a-f-]{36}$/)
  }
)

t.test('the active organisation is in it', async t => {
  const { issuer } = await anIssuer(t)

  const claims = claimsOf(issuer.assertionFor({ ...session, organizationId: 'acme', organizationRole: 'owner' }, 'a'))

  t.match(claims, { org_id: 'acme', org_role: 'owner' })
})

t.test('it is signed once for the same facts, also when the session was read anew', async t => {
  const { issuer, pass } = await anIssuer(t)
  const first = issuer.assertionFor(session, 'orders')

  pass(44)

  t.equal(issuer.assertionFor({ ...session, roles: [...session.roles] }, 'orders'), first)
})

t.test('it is signed anew while a quarter of its life is left', async t => {
  const { issuer, pass } = await anIssuer(t)
  const first = issuer.assertionFor(session, 'orders')

  pass(45)
  const second = issuer.assertionFor(session, 'orders')

  t.not(second, first)
  t.equal(claimsOf(second).iat, START / 1000 + 45)
})

t.test('any changed fact and any other audience gets its own: nothing cached answers another question', async t => {
  const { issuer } = await anIssuer(t)
  const first = issuer.assertionFor(session, 'orders')

  const others = [
    issuer.assertionFor(session, 'billing'),
    issuer.assertionFor({ ...session, roles: ['user'] }, 'orders'),
    issuer.assertionFor({ ...session, id: 'session-2' }, 'orders'),
    issuer.assertionFor({ ...session, userId: 'eve' }, 'orders'),
    issuer.assertionFor({ ...session, email: 'eve@example.com' }, 'orders'),
    issuer.assertionFor({ ...session, emailVerified: false }, 'orders'),
    issuer.assertionFor({ ...session, organizationId: 'acme' }, 'orders'),
    issuer.assertionFor({ ...session, organizationId: 'acme', organizationRole: 'owner' }, 'orders')
  ]

  t.equal(new Set([first, ...others]).size, others.length + 1)
})

t.test('it does not outlive the session', async t => {
  const { issuer } = await anIssuer(t)

  const { exp } = claimsOf(issuer.assertionFor({ ...session, expiresAt: START + 20_000 }, 'orders'))

  t.equal(exp, START / 1000 + 20)
})

t.test('without a key there is no assertion but an outage: nothing is sent unproven', async t => {
  const { issuer } = await anIssuer(t, { withKey: false })

  t.throws(() => issuer.assertionFor(session, 'orders'), { code: 'AUTH_SERVICE_UNAVAILABLE', statusCode: 503 })
})
