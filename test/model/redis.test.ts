/**
 * The copy of a session in Redis, every interleaving (docs/revocation.md, "Proofs"): each simpler design is wrong, by
 * the shortest history that shows it, and ours is not.
 */
import t from 'tap'
import { outboxModel } from './outbox.js'
import { redisSessionModel } from './redis-session.js'
import type { RedisDesign, RedisFaults } from './redis-session-state.js'
import { redisUserModel } from './redis-user.js'
import { fails, holds } from './verdict.js'

const EVICTS: RedisFaults = { evicts: true }
const LOSES: RedisFaults = { ...EVICTS, loses: true }
const FAILS_OVER: RedisFaults = { ...LOSES, failovers: 1 }
const THERE_AND_BACK: RedisFaults = { ...LOSES, failovers: 2 }

const lease: RedisDesign = { invalidates: 'after', lease: true }
const heartbeat: RedisDesign = { ...lease, heartbeat: true }
const ours: RedisDesign = { ...heartbeat, bindsEntries: true, bindsLeases: true, bindsState: true }

t.test('without leases a slow reader stores the session again after it was revoked', async t => {
  const slowReader = ['reads the row', 'COMMIT', 'fills', 'HIT']
  fails(t, 'COMMIT, DEL', redisSessionModel({ invalidates: 'after' }, {}), ...slowReader)
  fails(t, 'DEL, COMMIT', redisSessionModel({ invalidates: 'before' }, {}), 'deletes', 'fills', 'HIT')
  fails(t, 'DEL, COMMIT, DEL', redisSessionModel({ invalidates: 'both' }, {}), ...slowReader)
  fails(t, 'COMMIT, SET gone', redisSessionModel({ invalidates: 'after', writesThrough: true }, {}), ...slowReader)
  const tombstone: RedisDesign = { invalidates: 'after', tombstone: true }
  holds(t, 'a tombstone that never ends', redisSessionModel(tombstone, EVICTS))
  const ends = redisSessionModel({ ...tombstone, tombstoneEnds: true }, EVICTS)
  fails(t, 'a tombstone that ends, or is evicted', ends, 'ANSWER', 'tombstone ends', 'fills', 'HIT')
  const { lease: _, ...anybodyFills } = ours
  const noLease = redisSessionModel(anybodyFills, LOSES)
  fails(t, 'heartbeat and binding, but anybody fills', noLease, ...slowReader)
})

t.test('a lease is enough only as long as nothing is lost', async t => {
  holds(t, 'lease', redisSessionModel(lease, EVICTS))
  fails(t, 'lease, INVALIDATE lost', redisSessionModel(lease, LOSES), 'INVALIDATE is lost', 'ANSWER', 'HIT')
  holds(t, 'lease and heartbeat, INVALIDATE lost or revoker dead', redisSessionModel(heartbeat, LOSES))
  const ownCursor = redisSessionModel({ ...ours, ownCursor: true }, LOSES)
  fails(t, 'a cursor that is not beside the data', ownCursor, 'COMMIT', 'nothing to apply', 'BEAT', 'HIT')
})

t.test('a failover brings back what was deleted', async t => {
  const unbound = redisSessionModel(heartbeat, FAILS_OVER)
  fails(t, 'nothing bound to the run of the server', unbound, 'INVALIDATE', 'FAILOVER', 'HIT')
  const entriesOnly = redisSessionModel({ ...heartbeat, bindsEntries: true }, FAILS_OVER)
  fails(t, 'entries bound, leases not', entriesOnly, 'FAILOVER', 'fills', 'HIT')
  const { bindsState: _, ...stateUnbound } = ours
  const back = redisSessionModel(stateUnbound, THERE_AND_BACK)
  fails(t, 'entries and leases bound, the state not: there and back', back, 'FAILOVER', 'FAILOVER', 'BEAT', 'HIT')
  const late = redisSessionModel({ ...ours, beatsLate: true }, THERE_AND_BACK)
  fails(t, 'a heartbeat whose time is over moves the cursor', late, 'FAILOVER', 'FAILOVER', 'BEAT', 'HIT')
  holds(t, 'ours: one failover', redisSessionModel(ours, FAILS_OVER))
  holds(t, 'ours: there and back', redisSessionModel(ours, THERE_AND_BACK))
})

t.test('a request that joins a read made before the commit is served what was', async t => {
  fails(t, 'single flight', redisSessionModel({ ...ours, joins: true }, {}), 'reads the row', 'ANSWER', 'joins')
})

t.test('a role change reaches the sessions created meanwhile, and the readers under way', async t => {
  fails(t, 'DEL of the sessions listed', redisUserModel({}), 'listed', 'a sign-in', 'COMMIT', 'HIT, old role')
  fails(
    t,
    'a generation of the user',
    redisUserModel({ generation: true }),
    'reads the old',
    'INVALIDATE',
    'fills',
    'HIT'
  )
  holds(t, 'ours: a generation, and a mark', redisUserModel({ generation: true, mark: true }))
})

t.test('a transaction that commits late is not passed over, and nothing is told twice meanwhile', async t => {
  const late = ['one: begins', 'two: COMMIT', 'a reading', 'one: COMMIT']
  fails(t, 'the outbox read by id', outboxModel({ cursor: 'id', repeats: true }), ...late, 'a reading')
  fails(t, 'LISTEN alone', outboxModel({ cursor: 'none' }), 'COMMIT', 'connects anew')
  fails(t, 'from the oldest one open', outboxModel({ cursor: 'xmin' }), 'two: COMMIT', 'a reading', 'a reading')
  holds(t, 'from the oldest one open, told twice', outboxModel({ cursor: 'xmin', repeats: true }))
  const xmaxOnly = outboxModel({ cursor: 'snapshot', comparesXmaxOnly: true, repeats: true })
  fails(t, 'a snapshot, compared by xmax', xmaxOnly, ...late, 'the other node: INVALIDATE', 'a reading')
  holds(t, 'ours: a snapshot', outboxModel({ cursor: 'snapshot' }))
})
