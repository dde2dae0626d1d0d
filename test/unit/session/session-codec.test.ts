import assert from 'node:assert/strict'
import {
  array,
  boolean,
  constantFrom,
  double,
  assert as forAll,
  integer,
  option,
  property,
  record,
  string
} from 'fast-check'
import t from 'tap'
import { decodeSession, encodeSession } from '../../../src/session/session-codec.js'
import { aSession } from '../../support/sessions.js'

const name = string({ unit: 'binary', minLength: 1 })

t.test('a session comes back as it went in, whatever is in it', async () => {
  const sessions = record({
    id: name,
    userId: name,
    email: string({ unit: 'binary' }),
    emailVerified: boolean(),
    roles: array(name),
    organizationId: option(name),
    organizationRole: option(name),
    impersonated: boolean(),
    fingerprint: option(name),
    createdAt: integer(),
    expiresAt: double({ noNaN: true, noDefaultInfinity: true })
  })
  forAll(
    property(sessions, session => {
      const back = decodeSession(encodeSession(session))
      assert.equal(JSON.stringify(back), JSON.stringify(session))
    })
  )
})

t.test('an entry that is not exactly a session is none', async t => {
  const good = JSON.parse(encodeSession(aSession())) as unknown[]
  const damaged = [
    '',
    'x',
    '{}',
    'null',
    '"text"',
    '[]',
    JSON.stringify(good.slice(0, -1)),
    JSON.stringify([...good, 1]),
    JSON.stringify(aSession()),
    encodeSession(aSession()).slice(0, -1)
  ]

  for (const body of damaged) t.equal(decodeSession(body), null, body)
})

t.test('a field of the wrong type is refused, each of them', async t => {
  const good = JSON.parse(encodeSession(aSession())) as unknown[]
  const wrong = constantFrom<unknown>({}, [[1]], 1.5, '', true, [''], 'text', null)

  t.ok(decodeSession(JSON.stringify(good)))
  for (const i of good.keys()) {
    let refused = 0
    forAll(
      property(wrong, value => {
        const body = JSON.stringify(good.with(i, value))
        const decoded = decodeSession(body)
        if (decoded === null) refused++
        else assert.equal(encodeSession(decoded), body)
      })
    )
    t.ok(refused > 0, `field ${i}`)
  }
})
