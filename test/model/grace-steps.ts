/** A reading of the outbox, step by step, and what a node does that cannot make one. */
import {
  type GraceDesign,
  HEARTBEAT,
  type Link,
  type Reach,
  type State,
  type Stepper,
  type Who
} from './grace-state.js'

export function poll(state: State, step: Stepper, who: Who, design: GraceDesign, { postgres, redis }: Reach): void {
  const node = state[who]
  if (node.step === 0) {
    if (redis !== 'down') open(step(`${who}: OPEN`), who, 1)
    if (redis !== 'up') open(step(`${who}: OPEN fails`), who, 0)
  }
  if (node.step === 1) {
    if (postgres !== 'down') {
      const then = step(`${who}: reads the outbox`)
      then[who].step = 2
      then[who].read = state.revoker.phase > 0 ? 1 : 0
      if (who === 'one' && node.after) then.revoker.grace = state.two.row > 0 ? 1 : 0
    }
    if (postgres !== 'up') outage(state, step, who, design, redis)
  }
  if (node.step === 2) apply(state, step, who, design, redis)
}

function open(then: State, who: Who, opened: number): void {
  const node = then[who]
  node.step = 1
  node.age = 0
  node.opened = opened
  node.began = node.own > 0 ? 1 : 0
  if (who === 'one') node.after = then.revoker.phase === 1 ? 1 : 0
  else if (then.revoker.ask === 2) then.revoker.ask = 3
}

function outage(state: State, step: Stepper, who: Who, design: GraceDesign, redis: Link): void {
  const { opened, usable, own, age } = state[who]
  fail(step(`${who}: the outbox cannot be read`), who)
  const may = design.bridgeWithoutLease || (own > 0 && (usable || design.usableAtOnce))
  if (opened === 0 || !may || redis === 'down') return
  const then = step(`${who}: the outbox cannot be read, heartbeat renewed without it`)
  fail(then, who)
  then.redis.beat = design.bridgeWithoutLease ? HEARTBEAT - age : Math.min(HEARTBEAT - age, own)
  if (who === 'one') then.one.bridged = then.redis.beat
}

/** Without an application there is no acknowledgement. That it may hear the question again is more than can happen. */
function fail(then: State, who: Who): void {
  if (who === 'two' && then.revoker.ask === 3) then.revoker.ask = 1
  forget(then[who])
}

function apply(state: State, step: Stepper, who: Who, design: GraceDesign, redis: Link): void {
  const { read, opened, age } = state[who]
  if (opened > 0 && redis !== 'down') {
    const then = step(`${who}: ${read ? 'INVALIDATE and ' : ''}BEAT`)
    if (read) then.redis.entry = 0
    then.redis.beat = HEARTBEAT - age
    finish(then, who, design, true)
  }
  if (opened === 0 || redis !== 'up') {
    finish(step(`${who}: Redis fails`), who, design, false)
    if (opened > 0 && read && redis !== 'down') {
      const then = step(`${who}: INVALIDATE, and Redis fails before the answer`)
      then.redis.entry = 0
      finish(then, who, design, false)
    }
  }
}

function finish(then: State, who: Who, design: GraceDesign, reached: boolean): void {
  const node = then[who]
  const { revoker } = then
  if (node.after && who === 'one') revoker.own = Math.max(revoker.own, reached ? 2 : 1)
  if (who === 'two' && revoker.ask === 3) revoker.ask = reached ? 5 : 4
  if (reached) node.usable ||= node.began
  else if (!design.bridgesWhenBehind) node.usable = 0
  node.reached = reached ? 1 : 0
  forget(node)
}

function forget(node: State[Who]): void {
  node.step = node.age = node.opened = node.read = node.after = node.began = 0
}

export function giveUpOwn(node: State[Who]): void {
  if (node.own > 0 || node.statement === 1) node.statement = 2
  node.own = node.usable = node.began = 0
}
