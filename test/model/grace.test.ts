/**
 * The shared cache without PostgreSQL (docs/revocation.md, "Proofs"): every partition of two nodes from PostgreSQL and
 * Redis, steady or not. Ours holds, and stops holding with any one of its rules left out.
 */
import t from 'tap'
import { explore } from './explore.js'
import { graceModel } from './grace.js'
import type { GraceDesign, Link, Links } from './grace-state.js'
import { fails, holds } from './verdict.js'

const HIT = 'HIT, accepted'
const WAYS = ['up', 'down'] as const
const PARTITIONS: [Link, Link, Link, Link][] = WAYS.flatMap(p1 =>
  WAYS.flatMap(r1 => WAYS.flatMap(p2 => WAYS.map((r2): [Link, Link, Link, Link] => [p1, r1, p2, r2])))
)

/** The revoker does not reach Redis; of the other node nothing is sure. */
const links: Links = { postgres: ['up', 'flaky'], redis: ['down', 'flaky'] }
const failing = (design: GraceDesign) => graceModel(design, 'two', links)

t.test('ours holds while anything may fail at any time', async t => {
  holds(t, 'another node has the lease', graceModel({}, 'two'))
  holds(t, 'the revoker has the lease', graceModel({}, 'one'))
})

t.test('every steady partition: what is answered is true', async t => {
  for (const [p1, r1, p2, r2] of PARTITIONS) {
    const model = graceModel({}, 'two', { postgres: [p1, p2], redis: [r1, r2] })
    const { holds, seen, states } = explore(model)
    const name = `revoker: PostgreSQL ${p1}, Redis ${r1}; other: PostgreSQL ${p2}, Redis ${r2}`
    const how = seen.has('answered without Redis') ? 'after a wait' : seen.has('answered') ? 'answered' : 'no answer'
    t.ok(holds, `${name}: ${how}, ${states} states`)
    t.equal(seen.has('answered'), p1 === 'up', 'who reaches PostgreSQL gets an answer in the end, nobody else')
  }
})

t.test('a revoker that does not reach Redis waits for what others keep alive', async t => {
  fails(t, 'a heartbeat without a lease', failing({ bridgeWithoutLease: true }), 'renewed without it', 'ANSWER', HIT)
  fails(t, 'it waits for the heartbeat only', failing({ ignoresGrace: true }), 'renewed without it', 'ANSWER', HIT)
  fails(t, 'any acknowledgement counts for Redis', failing({ anyAckCounts: true }), 'two: Redis fails', 'ANSWER', HIT)
  const own = graceModel({ ignoresOwnBeat: true }, 'one')
  fails(
    t,
    'it forgets the heartbeat it kept alive itself',
    own,
    'renewed without it',
    'one: Redis fails',
    'ANSWER',
    HIT
  )
  const behind = graceModel({ bridgesWhenBehind: true }, 'one')
  fails(t, 'it keeps a heartbeat alive that it could not apply to', behind, 'ANSWER', 'renewed without it', HIT)
})

t.test('a lease is taken up before it is used, and used no longer than others can see', async t => {
  fails(t, 'used at once', failing({ usableAtOnce: true }), 'its row is renewed', 'renewed without it', HIT)
  fails(t, 'the row given up first', failing({ rowFirst: true }), 'not yet its own', 'ANSWER', HIT)
  const noTail = failing({ noTail: true })
  fails(
    t,
    'the row given up before the heartbeat ends',
    noTail,
    'renewed without it',
    'gives up its row',
    'ANSWER',
    HIT
  )
  const late = failing({ unordered: true })
  fails(t, 'given up by a statement that comes late', late, 'late giving up', 'COMMIT', 'renewed without it', HIT)
})
