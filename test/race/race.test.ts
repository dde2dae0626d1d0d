/**
 * The short form of `npm run race`: 1,000 sign-outs at two gateway processes, and the same race against the cache that
 * everybody writes first, which must be caught; otherwise the zero would mean nothing (D02, G1).
 */
import t from 'tap'
import { startGatewayPair } from '../support/gateway-pair.js'
import { gatewayDesign, naiveDesign } from './designs.js'
import { runRace } from './race.js'

const SESSIONS = 1000
const NAIVE_SESSIONS = 200
/** One node answers from memory, the other from Redis. */
const own = async () => [{}, { SESSION_LOCAL_LEASE: '0' }] as const

t.test('no request sent after the answer to a sign-out is accepted', async t => {
  const pair = await startGatewayPair(t, { env: { LOG_LEVEL: 'error' }, own })
  const create = async (sessions: number) => (await pair.person({ sessions })).sessions

  const naive = await runRace({ design: naiveDesign(t, pair), sessions: NAIVE_SESSIONS, create })
  t.ok(
    naive.lateSessions > NAIVE_SESSIONS / 20,
    `COMMIT, DEL: ${naive.lateSessions} of ${NAIVE_SESSIONS} sessions, so it can tell`
  )

  const { late, after, unanswered } = await runRace({
    design: gatewayDesign(t, pair),
    sessions: SESSIONS,
    create
  })
  t.equal(late.length, 0, `two gateways: none of ${after} requests`)
  t.ok(after > 5 * SESSIONS, 'there were requests to count')
  t.ok(unanswered < SESSIONS / 20, `${unanswered} sign-outs were refused`)
})
