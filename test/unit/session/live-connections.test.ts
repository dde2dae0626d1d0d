/** Who is asked about, when, and what ends: the look-up is a stand-in that answers when the test says so. */
import t from 'tap'
import type { ErrorCode } from '../../../src/errors.js'
import { type LiveConnection, LiveConnections } from '../../../src/session/live-connections.js'
import { hashToken, type Lookup, type Session } from '../../../src/session/session.js'
import { eventually } from '../../support/eventually.js'
import { aSession } from '../../support/sessions.js'

const GONE: Lookup = { session: null, source: 'postgres', reason: 'not_live' }
const found = (session: Session, rotation?: { token: string }): Lookup => ({
  session,
  source: 'postgres',
  reason: null,
  ...(rotation && { rotation })
})

interface Question {
  readonly token: string
  readonly answer: (lookup: Lookup) => void
  readonly fail: () => void
}

function aRegistry(now: () => number = Date.now) {
  const questions: Question[] = []
  const live = new LiveConnections({
    now,
    lookUp: token =>
      new Promise((resolve, reject) => {
        questions.push({ token, answer: resolve, fail: () => reject(new Error('an outage')) })
      })
  })
  const asked = async () => {
    await eventually(() => questions.length > 0, 'a question')
    return questions.shift() as Question
  }
  return { live, questions, asked }
}

function aConnection(role: string | null = null) {
  const ends: ErrorCode[] = []
  const connection: LiveConnection = {
    kind: 'websocket',
    refusal: ({ roles }) => (role === null || roles.includes(role) ? null : 'INSUFFICIENT_ROLE'),
    end: why => ends.push(why)
  }
  return { connection, ends }
}

const opened = (token: string, session = aSession(), since = performance.now()) => ({ token, session, since })
/** Microtasks of what was just answered. */
const settled = () => new Promise(resolve => setImmediate(resolve))

t.test('an event of a session asks about that session, and PostgreSQL decides', async t => {
  const { live, questions, asked } = aRegistry()
  const [one, other] = [aConnection(), aConnection()]
  live.add(one.connection, opened('one'))
  live.add(other.connection, opened('other', aSession({ id: 'session-2', userId: 'bob' })))

  live.changed({ kind: 'session', key: hashToken('one') })
  const question = await asked()
  t.equal(question.token, 'one')
  t.strictSame(one.ends, [], 'nothing ends on suspicion')
  question.answer(GONE)
  await settled()
  t.strictSame(one.ends, ['INVALID_SESSION'])
  t.strictSame(other.ends, [])
  t.equal(questions.length, 0)
})

t.test('an event of a user asks about all of the user’s sessions, and each route decides anew', async t => {
  const { live, asked } = aRegistry()
  const [admin, plain, bob] = [aConnection('admin'), aConnection(), aConnection('admin')]
  const session = aSession({ roles: ['admin'] })
  live.add(admin.connection, opened('a', session))
  live.add(plain.connection, opened('a', session))
  live.add(bob.connection, opened('b', aSession({ id: 'session-2', userId: 'bob', roles: ['admin'] })))

  live.changed({ kind: 'user', key: 'ada' })
  ;(await asked()).answer(found(aSession({ roles: ['user'] })))
  await settled()
  t.strictSame(admin.ends, ['INSUFFICIENT_ROLE'])
  t.strictSame(plain.ends, [], 'any signed-in caller may stay')
  t.strictSame(bob.ends, [])
})

t.test('a session of somebody else by now ends, whatever it may', async t => {
  const { live, asked } = aRegistry()
  const { connection, ends } = aConnection()
  live.add(connection, opened('a'))
  live.changed({ kind: 'session', key: hashToken('a') })
  ;(await asked()).answer(found(aSession({ userId: 'bob' })))
  await settled()
  t.strictSame(ends, ['INVALID_SESSION'])
})

t.test('a change while the answer is on its way is asked about again', async t => {
  const { live, asked } = aRegistry()
  const { connection, ends } = aConnection()
  live.add(connection, opened('a'))
  live.changed({ kind: 'user', key: 'ada' })
  const first = await asked()
  live.changed({ kind: 'user', key: 'ada' })
  first.answer(found(aSession()))
  ;(await asked()).answer(GONE)
  await settled()
  t.strictSame(ends, ['INVALID_SESSION'])
})

t.test('what changed between the look-up at the beginning and now is asked about at once', async t => {
  const { live, questions, asked } = aRegistry()
  const since = performance.now()
  live.changed({ kind: 'session', key: hashToken('a') })
  const late = aConnection()
  live.add(late.connection, opened('a', aSession(), since))
  ;(await asked()).answer(GONE)
  await settled()
  t.strictSame(late.ends, ['INVALID_SESSION'])

  live.add(aConnection().connection, opened('b', aSession(), performance.now() + 1))
  await settled()
  t.equal(questions.length, 0, 'and what came before is nobody’s business')
})

t.test('an outage ends nothing, and is asked through', async t => {
  const { live, asked } = aRegistry()
  const { connection, ends } = aConnection()
  live.add(connection, opened('a'))
  live.changed({ kind: 'session', key: hashToken('a') })
  ;(await asked()).fail()
  ;(await asked()).fail()
  t.strictSame(ends, [])
  ;(await asked()).answer(GONE)
  await settled()
  t.strictSame(ends, ['INVALID_SESSION'])
})

t.test('at its end a session is asked about: it may have been renewed', async t => {
  let now = 1_000_000
  const { live, asked } = aRegistry(() => now)
  const { connection, ends } = aConnection()
  live.add(connection, opened('a', aSession({ expiresAt: now + 1000 })))
  now += 1000
  const renewed = aSession({ expiresAt: now + 1000 })
  ;(await asked()).answer(found(renewed))
  await settled()
  t.strictSame(ends, [])
  now += 1000
  ;(await asked()).answer(GONE)
  await settled()
  t.strictSame(ends, ['INVALID_SESSION'])
})

t.test('a session that has expired during an outage is nobody’s: it ends, and not as a sign-out', async t => {
  let now = 1_000_000
  const { live, asked } = aRegistry(() => now)
  const { connection, ends } = aConnection()
  live.add(connection, opened('a', aSession({ expiresAt: now + 1000 })))
  now += 1000
  ;(await asked()).fail()
  await settled()
  t.strictSame(ends, ['AUTH_SERVICE_UNAVAILABLE'])
})

t.test('with its new token a session is the same, also where something was opened with that already', async t => {
  const { live, questions, asked } = aRegistry()
  const [older, newer] = [aConnection(), aConnection()]
  const closeOlder = live.add(older.connection, opened('old'))
  const closeNewer = live.add(newer.connection, opened('new'))
  live.changed({ kind: 'session', key: hashToken('old') })
  ;(await asked()).answer(found(aSession(), { token: 'new' }))
  await settled()
  t.strictSame([older.ends, newer.ends], [[], []])

  live.changed({ kind: 'session', key: hashToken('new') })
  const question = await asked()
  t.equal(question.token, 'new')
  t.equal(questions.length, 0, 'once')
  question.answer(GONE)
  await settled()
  t.strictSame([older.ends, newer.ends], [['INVALID_SESSION'], ['INVALID_SESSION']])
  closeOlder()
  closeNewer()
  live.changed({ kind: 'user', key: 'ada' })
  live.changed({ kind: 'session', key: hashToken('new') })
  await settled()
  t.equal(questions.length, 0, 'nothing is left of it')
})

t.test('what is in doubt about one token of a session stays in doubt under another', async t => {
  const { live, questions, asked } = aRegistry()
  const [older, newer] = [aConnection(), aConnection()]
  live.add(older.connection, opened('old'))
  live.add(newer.connection, opened('new'))
  live.changed({ kind: 'session', key: hashToken('new') })
  ;(await asked()).fail()
  await settled()
  live.changed({ kind: 'session', key: hashToken('old') })
  ;(await asked()).answer(found(aSession(), { token: 'new' }))
  await settled()
  t.equal(questions.length, 1, 'at once')
  ;(await asked()).answer(GONE)
  await settled()
  t.strictSame([older.ends, newer.ends], [['INVALID_SESSION'], ['INVALID_SESSION']])
})

t.test('what is said of the new token before it is known here is asked about again', async t => {
  const { live, asked } = aRegistry()
  const { connection, ends } = aConnection()
  live.add(connection, opened('old'))
  live.changed({ kind: 'session', key: hashToken('old') })
  const question = await asked()
  live.changed({ kind: 'session', key: hashToken('new') })
  question.answer(found(aSession(), { token: 'new' }))
  ;(await asked()).answer(GONE)
  await settled()
  t.strictSame(ends, ['INVALID_SESSION'])
})

t.test('with thousands open, everybody is asked about in turn: ordinary look-ups find room', async t => {
  const { live, questions, asked } = aRegistry()
  const all = Array.from({ length: 1200 }, () => aConnection())
  all.forEach(({ connection }, i) => live.add(connection, opened(`token-${i}`, aSession({ id: `session-${i}` }))))
  live.changedUnknown()
  t.equal(questions.length, 500)
  ;(await asked()).fail()
  ;(await asked()).answer(GONE)
  await settled()
  t.equal(questions.length, 500, 'one for each that is answered')
  for (let i = 2; i < all.length; i++) (await asked()).answer(GONE)
  await settled()
  t.equal(all.filter(({ ends }) => ends.length > 0).length, all.length - 1)
  ;(await asked()).answer(GONE)
  await settled()
  t.ok(all.every(({ ends }) => ends.length === 1))
})

t.test('when nobody knows what has changed, everybody is asked about', async t => {
  const { live, asked } = aRegistry()
  live.add(aConnection().connection, opened('a'))
  live.add(aConnection().connection, opened('b', aSession({ id: 'session-2' })))
  live.changedUnknown()
  const tokens = [(await asked()).token, (await asked()).token]
  t.strictSame(tokens.toSorted(), ['a', 'b'])
})

t.test('without events everybody is asked about again and again', async t => {
  const { live, asked } = aRegistry()
  const { connection, ends } = aConnection()
  live.deaf = true
  live.add(connection, opened('a'))
  ;(await asked()).answer(found(aSession()))
  ;(await asked()).answer(GONE)
  await settled()
  t.strictSame(ends, ['INVALID_SESSION'])
})

t.test('a drain is told to all there are, anonymous ones too, and to whoever still comes', async t => {
  const { live } = aRegistry()
  const [signedIn, anonymous, late] = [aConnection(), aConnection(), aConnection()]
  live.add(signedIn.connection, opened('a'))
  const close = live.add(anonymous.connection, null)
  t.equal(live.count('websocket'), 2)
  t.equal(live.count('stream'), 0)
  live.drain()
  live.add(late.connection, null)
  t.strictSame([signedIn.ends, anonymous.ends, late.ends], [['DRAINING'], ['DRAINING'], ['DRAINING']])
  close()
  close()
  t.equal(live.count('websocket'), 2)
})
