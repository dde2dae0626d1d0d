/**
 * The short form of `npm run soak`: every fault once, a second each, and health at the end. Before it the judge, which
 * must know a wrong answer when it sees one; otherwise the zero would mean nothing (D02, G1, RP).
 */
import t from 'tap'
import { sessionOf } from '../support/gateway-pair.js'
import { FAULTS } from './faults.js'
import { type Answer, judge, type SoakSession, type SoakUser } from './judge.js'
import { Random } from './random.js'
import { table } from './report.js'
import { runSoak } from './soak.js'
import { RECOVERY_MS, SQL_BOUND_MS, Timeline } from './timeline.js'

const NEVER = Number.POSITIVE_INFINITY

const sent = (sentAt: number) => ({ sentAt, receivedAt: sentAt + 10 })

function asked(over: Partial<Answer>, ended: SoakSession['ended'] = null): Answer {
  const user: SoakUser = {
    id: 'ada',
    roles: [
      { role: 'admin', from: 0, to: 10_000 },
      { role: 'user', from: 9_990, to: NEVER }
    ],
    sessions: [],
    busy: false
  }
  const session = { ...sessionOf('token'), user, endingAt: ended?.at ?? null, ended }
  const told = { userId: 'ada', role: 'user' }
  return { session, node: 'a', sentAt: 50_000, receivedAt: 50_010, status: 200, told, ...over }
}

t.test('the judge knows a wrong answer', async t => {
  const timeline = new Timeline()
  const refused = (status: number) => asked({ status, told: null })
  const signedOut = { at: 50_000, by: 'sign-out', inBand: true }
  const deleted = { ...signedOut, by: 'session deleted', inBand: false }

  t.equal(judge(asked({}), timeline), null)
  t.equal(judge(asked(sent(50_000), signedOut), timeline), null, 'it was on its way')
  t.match(judge(asked(sent(50_001), signedOut), timeline), 'accepted 1 ms after sign-out')
  t.equal(judge(asked(sent(50_000 + SQL_BOUND_MS), deleted), timeline), null)
  t.match(judge(asked(sent(50_001 + SQL_BOUND_MS), deleted), timeline), 'accepted')
  t.match(judge(asked({ told: { userId: 'bob', role: 'user' } }), timeline), 'another user')
  const admin = { told: { userId: 'ada', role: 'admin' } }
  t.equal(judge(asked({ ...admin, ...sent(12_000) }), timeline), null)
  t.match(judge(asked({ ...admin, ...sent(14_000) }), timeline), 'with the role admin')
  t.match(judge(refused(401), timeline), 'live all the time')
  t.equal(judge(asked({ status: 401, told: null }, deleted), timeline), null)
  t.match(judge(refused(503), timeline), '503 without any fault')
  t.match(judge(refused(429), timeline), 'nobody expects')

  timeline.faults.push({ name: 'PostgreSQL stopped', hidesPostgres: true, from: 49_000, to: 60_000 })
  t.equal(judge(refused(503), timeline), null)
  t.match(judge(refused(401), timeline), 'live all the time', 'an outage is no 401')
  t.match(judge(asked(sent(50_001), signedOut), timeline), 'accepted', 'whatever fails')
  const due = 60_000 + RECOVERY_MS + SQL_BOUND_MS
  t.equal(judge(asked(sent(due), deleted), timeline), null, 'nobody could know')
  t.match(judge(asked(sent(due + 1), deleted), timeline), 'accepted')
})

t.test('every fault once: no wrong answer, and nothing is left over', async t => {
  const result = await runSoak(t, {
    random: new Random(1),
    faults: FAULTS,
    minutes: NEVER,
    // Other tests run beside this one.
    mostPerSecond: 100,
    hold: [500, 800],
    pause: [200, 400],
    onLine: line => t.comment(line)
  })
  t.comment(table(result))
  t.strictSame(result.asker.violations, [])
  t.equal(result.timeline.faults.length, 1 + FAULTS.length, 'the first is the measurement at full speed')
  const { answers } = result.asker
  t.ok((answers.get(200) ?? 0) > 1_000, 'there were answers to judge')
  t.ok((answers.get(401) ?? 0) > 100, 'and refusals')
  t.ok((answers.get(503) ?? 0) > 0, 'and outages that were felt')
})
