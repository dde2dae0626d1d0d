/** All that may happen, put together. What it is about, and its limits: `grace-state.ts`. */
import type { Model } from './explore.js'
import {
  type GraceDesign,
  graceLength,
  HEARTBEAT,
  LAYOUT,
  type Links,
  type Reach,
  type State,
  type Stepper,
  type Who
} from './grace-state.js'
import { giveUpOwn, poll } from './grace-steps.js'

const FLAKY: Links = { postgres: ['flaky', 'flaky'], redis: ['flaky', 'flaky'] }

/** `leases`: who holds a lease; where it is the revoker, the other node is silent. */
export function graceModel(design: GraceDesign, leases: Who, links: Links = FLAKY): Model<typeof LAYOUT> {
  const length = graceLength(design)
  const lease = { own: length, row: length, usable: 1, reached: 1 }
  const nodes = leases === 'one' ? (['one'] as const) : (['one', 'two'] as const)
  return {
    layout: LAYOUT,
    start: {
      redis: { entry: 1, beat: HEARTBEAT },
      [leases]: lease,
      ...(design.unordered && { wire: { [leases]: 1 } })
    },
    next(state, step) {
      if (state.revoker.late) return
      // What was deleted does not come back, so from here on nothing can go wrong.
      if (!state.redis.entry) return revoke(state, step, design, links)
      for (const who of nodes) {
        const i = who === 'one' ? 0 : 1
        const reach = { postgres: links.postgres[i], redis: links.redis[i] }
        poll(state, step, who, design, reach)
        if (who === leases) keepLease(state, step, who, design, reach)
      }
      revoke(state, step, design, links)
      if (state.revoker.phase === 2 && state.redis.entry && state.redis.beat) {
        step('a new request: HIT, accepted').revoker.late = 1
      }
      passTime(step)
    },
    bad: ({ revoker }) => revoker.late === 1,
    witnesses: {
      answered: ({ revoker }) => revoker.phase === 2,
      'answered without Redis': ({ revoker, redis }) => revoker.phase === 2 && redis.entry === 1,
      'answered for an acknowledgement': ({ revoker }) =>
        leases === 'one' || (revoker.phase === 2 && revoker.own === 1 && revoker.ask === 7),
      'kept alive when H has passed': ({ revoker, redis }) =>
        revoker.phase === 1 && revoker.elapsed === HEARTBEAT && redis.entry === 1 && redis.beat > 0
    }
  }
}

/** The row, and the node's own reading of it. */
function keepLease(state: State, step: Stepper, who: Who, design: GraceDesign, { postgres }: Reach): void {
  const node = state[who]
  const reaches = node.reached === 1
  if (!reaches && node.own > 0 && !design.rowFirst) giveUpOwn(step(`${who}: gives up its lease`)[who])
  if (!reaches && node.own > 0 && design.rowFirst && node.row > 0 && postgres !== 'down') {
    step(`${who}: gives up the row, not yet its own`)[who].row = 0
  }
  if (!reaches && node.own > 0 && design.rowFirst && node.row === 0) giveUpOwn(step(`${who}: gives up its own`)[who])
  if (postgres === 'down') return
  const tail = design.noTail ? 0 : HEARTBEAT
  if (reaches && node.statement !== 1) {
    const then = step(`${who}: renews its row`)
    then[who].row = graceLength(design)
    then[who].statement = 1
  }
  if (node.statement === 1) {
    const then = step(`${who}: its row is renewed`)
    then[who].own = node.row
    then[who].statement = 0
    if (postgres === 'flaky') step(`${who}: hears nothing of its row`)[who].statement = 0
  }
  if (node.statement === 2) {
    const then = step(`${who}: gives up its row`)
    then[who].row = Math.min(node.row, tail)
    then[who].statement = 0
  }
  if (state.wire[who]) {
    const then = step(`${who}: the late giving up is executed`)
    then.wire[who] = 0
    then[who].row = Math.min(node.row, tail)
  }
}

function revoke(state: State, step: Stepper, design: GraceDesign, { postgres }: Links): void {
  const { revoker } = state
  if (revoker.phase === 0 && postgres[0] !== 'down') step('COMMIT').revoker.phase = 1
  if (revoker.phase !== 1) return
  if (revoker.ask === 0 && postgres[0] !== 'down') step('one: asks').revoker.ask = 1
  if (revoker.ask === 1 && postgres[1] !== 'down') step('two: hears the question').revoker.ask = 2
  if (revoker.ask === 4 || revoker.ask === 5) {
    if (postgres[1] !== 'down') step('one: hears the answer').revoker.ask = revoker.ask + 2
  }
  const acknowledged = revoker.ask === 7 || (revoker.ask === 6 && design.anyAckCounts)
  const clear = !revoker.grace || design.ignoresGrace
  const waited = revoker.elapsed === HEARTBEAT && clear && (state.one.bridged === 0 || design.ignoresOwnBeat)
  if (revoker.own === 2 || (revoker.own === 1 && (acknowledged || waited))) step('ANSWER 200').revoker.phase = 2
}

function passTime(step: Stepper): void {
  const then = step('a unit of time passes')
  const { redis, revoker } = then
  redis.beat = Math.max(0, redis.beat - 1)
  if (revoker.phase === 1) revoker.elapsed = Math.min(HEARTBEAT, revoker.elapsed + 1)
  for (const node of [then.one, then.two]) {
    if (node.step > 0) node.age = Math.min(HEARTBEAT, node.age + 1)
    node.row = Math.max(0, node.row - 1)
    node.own = Math.max(0, node.own - 1)
    node.bridged = Math.max(0, node.bridged - 1)
    if (node.own === 0) node.usable = node.began = 0
  }
}
