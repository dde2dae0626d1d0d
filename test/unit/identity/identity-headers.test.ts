import { assert, property, string } from 'fast-check'
import t from 'tap'
import { headerSafe, identityHeaders } from '../../../src/identity/identity-headers.js'
import { aSession } from '../../support/sessions.js'

t.test('an upstream is told the user, the roles and the session (R54, R58)', async t => {
  const headers = identityHeaders(aSession({ roles: ['user', 'admin'] }))

  t.strictSame(headers, [
    'X-User-ID',
    'ada',
    'X-User-Email',
    'ada@example.com',
    'X-User-Email-Verified',
    'true',
    'X-User-Roles',
    'user,admin',
    'X-Session-ID',
    'session-1'
  ])
})

t.test('the organisation is told when one is active, and no header of it otherwise', async t => {
  const member = identityHeaders(aSession({ organizationId: 'acme', organizationRole: 'owner' }))
  const outsider = identityHeaders(aSession({ organizationId: 'acme', organizationRole: null }))

  t.strictSame(member.slice(10), ['X-Organization-ID', 'acme', 'X-Organization-Role', 'owner'])
  t.strictSame(outsider.slice(10), ['X-Organization-ID', 'acme'], 'a role nobody granted is not sent as an empty one')
})

t.test('a cached session is written once', async t => {
  const session = aSession()

  t.equal(identityHeaders(session), identityHeaders(session))
  t.not(identityHeaders(session), identityHeaders({ ...session }))
})

t.test('values that a header cannot carry are percent-encoded as UTF-8 (B25)', async t => {
  const cases = [
    ['ada', 'ada'],
    ['Ada Lovelace', 'Ada Lovelace'],
    ['jörg@example.com', 'j%C3%B6rg@example.com'],
    ['a\r\nX-User-Roles: admin', 'a%0D%0AX-User-Roles: admin'],
    ['50%', '50%25'],
    ['%41', '%2541'],
    ['a\0b\x7fc\td', 'a%00b%7Fc%09d'],
    [' padded ', '%20padded%20'],
    ['', ''],
    [' ', '%20'],
    ['🦊', '%F0%9F%A6%8A']
  ] as const
  for (const [value, expected] of cases) t.equal(headerSafe(value), expected, JSON.stringify(value))
})

t.test('a role cannot smuggle in a second one', async t => {
  const headers = identityHeaders(aSession({ roles: ['user,admin', 'b'] }))

  t.equal(headers[headers.indexOf('X-User-Roles') + 1], 'user%2Cadmin,b')
})

t.test('every value is visible ASCII and decodes to what it was', async t => {
  const readable = property(string({ unit: 'grapheme' }), value => {
    const safe = headerSafe(value)
    return /^[\x20-\x7e]*$/.test(safe) && safe.trim() === safe && decodeURIComponent(safe) === value
  })

  t.doesNotThrow(() => assert(readable, { numRuns: 2000 }))
})
