/** Which requests are auth events (R87). */
import t from 'tap'
import { eventOf, outcomeOf } from '../../../src/auth/auth-events.js'

t.test('what changes who may do what is an event, reading is not', async t => {
  const cases: readonly (readonly [string, string, string | null])[] = [
    ['POST', '/sign-in/email', 'auth.sign_in'],
    ['POST', '/sign-in/social', 'auth.sign_in'],
    ['GET', '/callback/google', 'auth.sign_in'],
    ['POST', '/sign-up/email', 'auth.sign_up'],
    ['POST', '/sign-out', 'auth.sign_out'],
    ['POST', '/revoke-session', 'auth.revoke'],
    ['POST', '/admin/ban-user', 'auth.ban'],
    ['POST', '/admin/set-role', 'auth.role_change'],
    ['POST', '/reset-password', 'auth.password_reset'],
    ['GET', '/verify-email', 'auth.email_verified'],
    ['GET', '/reset-password/abc', null],
    ['GET', '/sign-in/email', null],
    ['GET', '/get-session', null],
    ['POST', '/admin/list-user-sessions', null]
  ]

  for (const [method, endpoint, event] of cases) t.equal(eventOf(method, endpoint), event, `${method} ${endpoint}`)
})

t.test('an outcome tells a refusal from an outage and from a limit', async t => {
  t.equal(outcomeOf(302, '/welcome'), 'success')
  t.equal(outcomeOf(302, '/failed?error=account_not_linked'), 'failure')
  const statuses = [200, 302, 401, 403, 429, 500, 503]
  t.strictSame(
    statuses.map(status => outcomeOf(status)),
    ['success', 'success', 'failure', 'failure', 'limited', 'unavailable', 'unavailable']
  )
})
