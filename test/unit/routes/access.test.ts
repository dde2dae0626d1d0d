/** Who may come in (R59), and what is said first to who may not. */
import t from 'tap'
import type { AccessConfig } from '../../../src/config/gateway-file.js'
import { type AccessFacts, accessOf, bothOf, refusalOf } from '../../../src/routes/access.js'

const NOW = 1_000_000
const ada: AccessFacts = { roles: ['user'], organizationRole: null, emailVerified: true, createdAt: NOW - 60_000 }

function refuse(access: AccessConfig, facts: Partial<AccessFacts> = {}): string | null {
  return refusalOf(accessOf(access), { ...ada, ...facts }, () => NOW)
}

t.test('any live session meets public, optional and session', async t => {
  for (const level of ['public', 'optional', 'session'] as const) t.equal(refuse(level, { roles: [] }), null, level)
})

t.test('one of the roles is enough, none of them is not', async t => {
  t.equal(refuse({ roles: ['admin', 'user'] }), null)
  t.equal(refuse({ roles: ['admin', 'superadmin'] }), 'INSUFFICIENT_ROLE')
  t.equal(refuse({ roles: ['admin'] }, { roles: [] }), 'INSUFFICIENT_ROLE')
  t.equal(refuse({ roles: ['admin'] }, { roles: ['Admin', 'administrator'] }), 'INSUFFICIENT_ROLE')
})

t.test('an organisation role counts in the active organisation only, and a member may hold several', async t => {
  t.equal(refuse({ organizationRoles: ['owner'] }), 'INSUFFICIENT_ROLE')
  t.equal(refuse({ organizationRoles: ['owner'] }, { roles: ['owner'] }), 'INSUFFICIENT_ROLE')
  t.equal(refuse({ organizationRoles: ['owner'] }, { organizationRole: 'member, owner' }), null)
  t.equal(refuse({ organizationRoles: ['owner'] }, { organizationRole: 'co-owner' }), 'INSUFFICIENT_ROLE')
})

t.test('fresh is met up to the very millisecond, by the clock that is handed in', async t => {
  t.equal(refuse({ freshMs: 60_000 }), null)
  t.equal(refuse({ freshMs: 59_999 }), 'SESSION_NOT_FRESH')
})

t.test('the role is refused before the e-mail, the e-mail before the age', async t => {
  const all: AccessConfig = { roles: ['admin'], emailVerified: true, freshMs: 1 }

  t.equal(refuse(all, { emailVerified: false }), 'INSUFFICIENT_ROLE')
  t.equal(refuse(all, { roles: ['admin'], emailVerified: false }), 'EMAIL_NOT_VERIFIED')
  t.equal(refuse(all, { roles: ['admin'] }), 'SESSION_NOT_FRESH')
  t.equal(refuse(all, { roles: ['admin'], createdAt: NOW }), null)
})

t.test('both of two accesses let in exactly those that each lets in', async t => {
  const accesses: AccessConfig[] = [
    'public',
    'optional',
    'session',
    { roles: ['admin'] },
    { roles: ['user'], freshMs: 59_999 },
    { organizationRoles: ['owner'] },
    { emailVerified: true, freshMs: 90_000 }
  ]
  const callers: Partial<AccessFacts>[] = [
    {},
    { roles: ['admin'] },
    { roles: ['admin', 'user'] },
    { organizationRole: 'owner' },
    { emailVerified: false },
    { createdAt: NOW },
    { createdAt: 0 }
  ]

  for (const one of accesses) {
    for (const other of accesses) {
      for (const facts of callers) {
        const refused = refusalOf(bothOf(accessOf(one), accessOf(other)), { ...ada, ...facts }, () => NOW) !== null
        t.equal(
          refused,
          refuse(one, facts) !== null || refuse(other, facts) !== null,
          JSON.stringify([one, other, facts])
        )
      }
    }
  }
})
