/**
 * Sessions in the memory of each process, every interleaving (docs/revocation.md, "Proofs"): ours holds, and stops
 * holding with any one of its rules left out.
 */
import t from 'tap'
import { memoryModel } from './memory.js'
import type { MemoryCase, MemoryDesign } from './memory-state.js'
import { fails, holds } from './verdict.js'

const other: MemoryCase = { memoryOf: 'two', change: 'session', fault: 'none' }
const FOUND = 'found in memory'

const failing = (design: MemoryDesign, fault: MemoryCase['fault'] = 'none') => memoryModel(design, { ...other, fault })

t.test('ours holds', async t => {
  holds(t, 'a session is deleted, memory of another node', memoryModel({}, other))
  holds(t, 'the same in the memory of the revoker', memoryModel({}, { ...other, memoryOf: 'one' }))
  holds(t, 'a role changes, two sessions', memoryModel({}, { ...other, change: 'role' }))
  holds(t, 'Redis fails over', memoryModel({}, { ...other, fault: 'failover' }))
  holds(t, 'a node registers late, and lapses', memoryModel({}, { ...other, fault: 'registration' }))
  holds(t, 'Redis fails for anybody at any time', memoryModel({}, { ...other, fault: 'redis' }))
  holds(t, 'the same, memory of the revoker', memoryModel({}, { ...other, memoryOf: 'one', fault: 'redis' }))
})

t.test('the answer waits for whoever may still remember', async t => {
  fails(t, 'it waits for nobody', failing({ waitsForNobody: true }), 'look-up hits', 'COMMIT', 'ANSWER', FOUND)
  fails(t, 'it waits for the nodes known before the commit', failing({ knownNodesOnly: true }, 'registration'), FOUND)
  fails(t, 'an older answer counts', failing({ unnumbered: true }), 'hears an older answer', 'ANSWER', FOUND)
  fails(t, 'a node leaves, and still remembers', failing({ leavesEarly: true }, 'registration'), 'its row ends', FOUND)
  fails(
    t,
    'without Redis it waits for the lease only',
    failing({ waitsLeaseOnly: true }, 'redis'),
    'Redis fails',
    'HIT'
  )
})

t.test('what was dropped does not come back', async t => {
  const inFlight = ['look-up hits', 'the change dropped', 'reply of the look-up arrives', FOUND]
  fails(t, 'a look-up under way fills', failing({ fillsAfterDrop: true }), ...inFlight)
  fails(t, 'memory is dropped before Redis', failing({ dropsFirst: true }), 'drops before', 'look-up hits', FOUND)
  const behind = failing({ fillsWhileBehind: true }, 'redis')
  fails(t, 'a hit of a Redis that is behind fills', behind, 'two: Redis fails', 'look-up hits', 'arrives', FOUND)
  const silent = failing({ catchesUpSilently: true }, 'redis')
  fails(t, 'that Redis has caught up is no drop', silent, 'look-up hits', 'two: BEAT', 'arrives', FOUND)
  const early = failing({ acksEarly: true }, 'redis')
  fails(t, 'acknowledged before Redis knows', early, 'one: Redis fails', 'two: drops before', 'hears the answer', 'HIT')
  const one = memoryModel({ dropsOneSession: true }, { ...other, change: 'role' })
  fails(t, 'a role change drops one session', one, 'look-up hits in Redis (session 2)', 'the change dropped', FOUND)
})

t.test('a proof is as old as the beginning of its reading', async t => {
  fails(t, 'it counts from the end', failing({ provesFromTheEnd: true }), 'time passes', 'memory is proven', FOUND)
  const earlier = failing({ provesEarlierReadings: true }, 'registration')
  fails(
    t,
    'a reading from before the registration',
    earlier,
    'two: reads',
    'COMMIT',
    'two: is registered',
    'ANSWER',
    FOUND
  )
})
