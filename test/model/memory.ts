/** All that may happen, put together. What it is about, and its limits: `memory-state.ts`. */
import type { Model } from './explore.js'
import {
  HEARTBEAT,
  LAYOUT,
  LEASE,
  type MemoryCase,
  type MemoryDesign,
  type Scene,
  type State,
  type Stepper
} from './memory-state.js'
import { read } from './memory-steps.js'

export function memoryModel(design: MemoryDesign, memoryCase: MemoryCase): Model<typeof LAYOUT> {
  const redisFails = memoryCase.fault === 'redis'
  const scene = { ...memoryCase, design, redisFails, longest: redisFails ? HEARTBEAT : LEASE }
  const registered = { row: 1, known: 1 }
  return {
    layout: LAYOUT,
    start: {
      redis: { entry: 1, beat: scene.longest },
      ...(scene.fault !== 'registration' && { register: registered })
    },
    next(state, step) {
      const { redis, mine, revoker } = state
      if (revoker.late) return
      if (isOver(state)) return revoke(state, step, design)
      for (const who of ['one', 'two'] as const) read(state, step, who, scene)
      lookUp(state, step, scene)
      if (scene.fault === 'registration') register(state, step, design)
      revoke(state, step, design)
      if (scene.fault === 'failover' && redis.failovers === 0) failOver(state, step)
      passTime(step, scene)
      if (revoker.phase < 2) return
      if (redis.entry && redis.beat) step('a new request: HIT in Redis, accepted').revoker.late = 1
      if (mine.proven && mine.first + mine.second > 0) step('a new request: found in memory, accepted').revoker.late = 1
    },
    bad: ({ revoker }) => revoker.late === 1,
    witnesses: {
      answered: ({ revoker }) => revoker.phase === 2,
      'in memory before the commit': ({ revoker, mine }) => revoker.phase === 0 && mine.first === 1 && mine.proven > 0,
      'acknowledged by the other node': ({ revoker }) => revoker.phase === 2 && revoker.ask > 5,
      ...(redisFails && {
        'answered without Redis': ({ revoker, redis }: State) => revoker.phase === 2 && redis.entry === 1
      })
    }
  }
}

/** The old state is nowhere any more, and in nobody's hands. */
function isOver({ redis, mine, revoker }: State): boolean {
  return revoker.phase > 0 && redis.entry + mine.first + mine.second + mine.flight === 0
}

/** A request that memory cannot answer; its reply is on the way while other things happen. */
function lookUp(state: State, step: Stepper, { change, design, memoryOf }: Scene): void {
  const { redis, mine, revoker } = state
  if (mine.flight === 0) {
    for (const session of change === 'role' ? [0, 1] : [0]) {
      const name = change === 'role' ? ` (session ${session + 1})` : ''
      if (redis.entry && redis.beat) take(step(`${memoryOf}: a look-up hits in Redis${name}`), 1, session)
      if (revoker.phase === 0) take(step(`${memoryOf}: a look-up reads the row${name}`), 2, session)
    }
    return
  }
  const then = step(`${memoryOf}: the reply of the look-up arrives`)
  const fromRedis = mine.flight === 1
  const fills = (!mine.stale || design.fillsAfterDrop) && mine.proven > 0
  if (fills && !(fromRedis && mine.behind && !design.fillsWhileBehind)) then.mine[mine.session ? 'second' : 'first'] = 1
  then.mine.flight = then.mine.session = then.mine.stale = 0
}

function take({ mine }: State, flight: number, session: number): void {
  mine.flight = flight
  mine.session = session
}

function register(state: State, step: Stepper, design: MemoryDesign): void {
  const { row, known } = state.register
  if (!known) step('two: registers').register.row = 1
  if (row && !known) step('two: is registered').register.known = 1
  if (known) {
    const then = step('two: its registration ends by its own clock')
    then.register.known = then.mine.proven = then.mine.began = 0
  }
  if (row && (!known || design.leavesEarly)) step('two: its row ends').register.row = 0
}

function revoke({ revoker }: State, step: Stepper, design: MemoryDesign): void {
  if (revoker.phase === 0) step('COMMIT').revoker.phase = 1
  if (revoker.phase !== 1) return
  if (revoker.ask === 0) step('one: asks').revoker.ask = 1
  if (revoker.ask === 1) step('two: hears the question').revoker.ask = 2
  if (revoker.ask === 4 || revoker.ask === 5) step('one: hears the answer').revoker.ask = revoker.ask + 2
  if (revoker.older && revoker.ask < 6) step('one: hears an older answer').revoker.ask = 5 + revoker.older
  const alone = design.waitsForNobody || !revoker.others
  const here = alone || revoker.ask >= 6 || revoker.elapsed >= LEASE
  const there = revoker.own === 2 || revoker.ask === 7 || revoker.elapsed >= (design.waitsLeaseOnly ? LEASE : HEARTBEAT)
  if (revoker.own > 0 && here && there) step('ANSWER 200').revoker.phase = 2
}

/** Entries are bound to the server they were filled on; how far its data is, the replica may not know. */
function failOver(state: State, step: Stepper): void {
  for (const lags of state.redis.past ? [true, false] : [false]) {
    const { redis } = step(`Redis fails over${lags ? ' to a replica that lags' : ''}`)
    redis.failovers = 1
    redis.entry = redis.beat = 0
    if (lags) redis.past = 0
  }
}

function passTime(step: Stepper, { longest, memoryOf }: Scene): void {
  const { redis, one, two, mine, revoker } = step('a unit of time passes')
  redis.beat = Math.max(0, redis.beat - 1)
  mine.proven = Math.max(0, mine.proven - 1)
  if (revoker.phase === 1) revoker.elapsed = Math.min(longest, revoker.elapsed + 1)
  if (one.step > 0) one.age = Math.min(longest, one.age + 1)
  if (two.step > 0) two.age = Math.min(longest, two.age + 1)
  // Nothing depends on it any more.
  if (!redis.entry) (memoryOf === 'one' ? two : one).age = 0
}
