import t from 'tap'
import { seededSessions, sessionsOf } from '../../../bench/sessions.js'

t.test('80/20: a fifth of ten thousand sessions makes four fifths of the requests, the same on every run', async t => {
  const sessions = seededSessions()
  const draws = sessionsOf('eighty-twenty', sessions)
  const busy = new Set(sessions.slice(0, 2_000))
  const share = draws.filter(session => busy.has(session)).length / draws.length

  t.ok(share > 0.78 && share < 0.82, String(share))
  t.ok(new Set(draws).size > 7_000, 'most of the others come too')
  t.strictSame(sessionsOf('eighty-twenty', sessions).slice(0, 100), draws.slice(0, 100))
  t.equal(sessionsOf('rotation', sessions).length, 1_000)
})
