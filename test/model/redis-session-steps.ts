/** What readers do, and the applier. */
import { COMMITTED, HEARTBEAT, type Reader, type RedisDesign, type State, type Stepper } from './redis-session-state.js'

function serves({ redis }: State, design: RedisDesign): boolean {
  return (!design.heartbeat || redis.beat > 0) && !redis.tombstone
}

export function hits(state: State, design: RedisDesign): boolean {
  const { redis, world } = state
  return redis.entry === 1 && serves(state, design) && (!design.bindsEntries || redis.bound === world.run)
}

export function read(state: State, step: Stepper, who: Reader, design: RedisDesign): void {
  const { redis, world } = state
  const reader = state[who]
  if (reader.step === 0 && !hits(state, design)) {
    const then = step(`${who}: misses`)
    then[who].step = 1
    if (design.lease && serves(state, design) && !redis.lease) {
      then.redis.lease = who === 'first' ? 1 : 2
      then[who].lease = 1
      then[who].run = world.run
    }
  }
  if (reader.step === 1) {
    const then = step(`${who}: reads the row${world.revoker >= COMMITTED ? ', which is gone' : ''}`)
    then[who].step = 2
    then[who].gone = world.revoker >= COMMITTED ? 1 : 0
  }
  if (reader.step === 2) fill(state, step, who, design)
}

function fill(state: State, step: Stepper, who: Reader, design: RedisDesign): void {
  const { world } = state
  const { lease, run, gone } = state[who]
  const holds = lease && state.redis.lease === (who === 'first' ? 1 : 2)
  const may = !gone && serves(state, design) && (!design.lease || holds) && (!design.bindsLeases || run === world.run)
  const then = step(`${who}: ${may ? 'fills' : 'does not fill'}`)
  if (may) {
    then.redis.entry = 1
    then.redis.bound = world.run
  }
  if (design.lease && holds && !gone) then.redis.lease = 0
  then[who].step = then[who].lease = then[who].run = then[who].gone = 0
}

export function invalidate(then: State, design: RedisDesign): State {
  const { redis, world } = then
  redis.entry = design.writesThrough ? 2 : 0
  redis.bound = design.writesThrough ? world.run : 0
  redis.lease = 0
  if (design.tombstone) redis.tombstone = 1
  return then
}

export function apply(state: State, step: Stepper, design: RedisDesign): void {
  const { applier, redis, replica, world } = state
  const { run } = world
  if (applier.step === 0) {
    const { applier } = step('applier: OPEN')
    applier.step = 1
    applier.run = run
    applier.newer = replica.present && world.beaten
    applier.past = redis.past
  }
  if (applier.step === 1) {
    const then = step('applier: reads the outbox')
    then.applier.step = 2
    then.applier.read = world.revoker >= COMMITTED ? 1 : 0
  }
  if (applier.step === 2) {
    // Begun when it did, an applier with a cursor of its own has seen nothing of what was before.
    const has = applier.read && !applier.past && !design.ownCursor
    const then = step(has ? 'applier: INVALIDATE' : 'applier: nothing to apply')
    if (has && (!design.bindsState || run === applier.run)) invalidate(then, design)
    then.applier.step = 3
  }
  if (applier.step === 3) beat(state, step, design)
}

function beat({ applier, redis, world }: State, step: Stepper, design: RedisDesign): void {
  const isOther = design.bindsState ? world.run !== applier.run : world.run !== applier.run && applier.newer
  const refused = isOther || (applier.age === HEARTBEAT && !design.beatsLate)
  const resets = !refused && design.bindsState && redis.owner !== world.run
  const then = step(refused ? 'applier: BEAT refused' : resets ? 'applier: RESET' : 'applier: BEAT')
  if (resets) {
    // A new nonce: entries and leases of the old one are of no use to anybody.
    Object.assign(then.redis, { entry: 0, bound: 0, lease: 0, beat: 0, owner: world.run, past: applier.read })
  } else if (!refused) {
    then.redis.beat = HEARTBEAT - applier.age
    if (applier.read) then.redis.past = 1
    then.world.beaten = 1
  }
  Object.assign(then.applier, { step: 0, age: 0, run: 0, newer: 0, past: 0, read: 0 })
}
