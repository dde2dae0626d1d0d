/** All that may happen, put together. What it is about, and its limits: `redis-session-state.ts`. */
import type { Model } from './explore.js'
import {
  ANSWERED,
  COMMITTED,
  HEARTBEAT,
  LAYOUT,
  type RedisDesign,
  type RedisFaults,
  type State,
  type Stepper
} from './redis-session-state.js'
import { apply, hits, invalidate, read } from './redis-session-steps.js'

export function redisSessionModel(design: RedisDesign, faults: RedisFaults): Model<typeof LAYOUT> {
  // Who may fill among several does not depend on which server it is.
  const readers = faults.failovers === undefined ? (['first', 'second'] as const) : (['first'] as const)
  return {
    layout: LAYOUT,
    start: { redis: { beat: design.heartbeat ? HEARTBEAT : 0 } },
    next(state, step) {
      if (state.world.late) return
      revoke(state, step, design, faults)
      if (isOver(state)) return
      for (const who of readers) read(state, step, who, design)
      if (design.heartbeat) apply(state, step, design)
      if (faults.evicts) evict(state, step, design)
      if (faults.failovers !== undefined) failOver(state, step, faults.failovers)
      if (design.heartbeat) passTime(step)
      request(state, step, design)
    },
    bad: ({ world }) => world.late === 1,
    witnesses: {
      answered: ({ world }) => world.revoker === ANSWERED,
      'hit before the commit': state => state.world.revoker === 0 && hits(state, design)
    }
  }
}

/** The session is nowhere any more, and in nobody's hands. */
function isOver({ redis, replica, first, second, world }: State): boolean {
  const held = [first, second].some(({ step, gone }) => step === 2 && !gone)
  return world.revoker >= COMMITTED && world.revoker !== 6 && redis.entry !== 1 && replica.entry !== 1 && !held
}

/** One more request, that began just now. */
function request(state: State, step: Stepper, design: RedisDesign): void {
  const { world, first, second } = state
  const tooOld = design.heartbeat && world.revoker >= COMMITTED && world.elapsed === HEARTBEAT
  if (world.revoker !== ANSWERED && !tooOld) return
  if (hits(state, design)) {
    const name = world.revoker === ANSWERED ? 'a new request' : 'a request when H has passed'
    step(`${name}: HIT, accepted`).world.late = 1
  }
  const reads = [first, second].some(({ step, gone }) => step === 2 && !gone)
  if (design.joins && reads) step('a new request joins the read under way, accepted').world.late = 1
}

function revoke({ world }: State, step: Stepper, design: RedisDesign, faults: RedisFaults): void {
  const before = design.invalidates === 'before' || design.invalidates === 'both'
  const after = design.invalidates === 'after' || design.invalidates === 'both'
  if (world.revoker === 0 && before) invalidate(step('deletes the entry'), design).world.revoker = 1
  if (world.revoker === (before ? 1 : 0)) step('COMMIT').world.revoker = after ? COMMITTED : 4
  if (world.revoker === COMMITTED) {
    invalidate(step('INVALIDATE'), design).world.revoker = 4
    if (faults.loses) step('INVALIDATE is lost').world.revoker = design.heartbeat ? 3 : 4
    if (faults.loses) step('the revoker dies').world.revoker = 6
  }
  if (world.revoker === 3 && world.elapsed === HEARTBEAT) step('H has passed').world.revoker = 4
  if (world.revoker === 4) step('ANSWER 200').world.revoker = ANSWERED
}

function evict({ redis }: State, step: Stepper, design: RedisDesign): void {
  if (redis.entry) step('the entry is evicted').redis.entry = 0
  if (redis.lease) step('the lease ends').redis.lease = 0
  if (redis.tombstone && design.tombstoneEnds) step('the tombstone ends').redis.tombstone = 0
}

function failOver({ replica, world }: State, step: Stepper, failovers: number): void {
  if (world.failovers === failovers) return
  if (!replica.present) {
    const then = step('the replica gets no further than here')
    Object.assign(then.replica, then.redis, { present: 1 })
    then.world.beaten = 0
  } else if (world.failovers === 0 || world.sinceFailover === HEARTBEAT) {
    const then = step('FAILOVER')
    const { present: _present, ...data } = then.replica
    Object.assign(then.redis, data)
    for (const field of Object.keys(then.replica) as (keyof State['replica'])[]) then.replica[field] = 0
    then.world.run = 1 - world.run
    then.world.failovers++
    then.world.sinceFailover = then.world.beaten = 0
  }
}

function passTime(step: Stepper): void {
  const { redis, replica, applier, world } = step('a unit of time passes')
  redis.beat = Math.max(0, redis.beat - 1)
  replica.beat = Math.max(0, replica.beat - 1)
  if (applier.step > 0) applier.age = Math.min(HEARTBEAT, applier.age + 1)
  if (world.revoker >= COMMITTED) world.elapsed = Math.min(HEARTBEAT, world.elapsed + 1)
  if (world.failovers > 0) world.sinceFailover = Math.min(HEARTBEAT, world.sinceFailover + 1)
}
