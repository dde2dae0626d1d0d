/** A reading of the outbox, step by step, and what it does in Redis and in memory. */
import { LEASE, type Scene, type State, type Stepper, type Who } from './memory-state.js'

export function read(state: State, step: Stepper, who: Who, scene: Scene): void {
  const node = state[who]
  if (node.step === 0) {
    open(step(`${who}: OPEN`), who, scene, 1 + state.redis.past)
    if (scene.redisFails) open(step(`${who}: OPEN fails`), who, scene, 0)
  }
  if (node.step === 1) {
    const then = step(`${who}: reads the outbox`)
    then[who].step = 2
    then[who].read = state.revoker.phase === 0 ? 0 : node.past && node.opened !== 1 ? 1 : 2
    if (who === 'one' && (scene.design.knownNodesOnly ? state.revoker.phase === 0 : node.after)) {
      then.revoker.others = state.register.row
    }
    if (scene.redisFails) fail(step(`${who}: the outbox cannot be read`), who)
  }
  if (node.step === 2) {
    if (scene.design.dropsFirst || scene.design.acksEarly)
      dropFirst(step(`${who}: drops before Redis knows`), who, scene)
    else applyThere(state, step, who, scene)
  }
  if (node.step === 4) applyThere(state, step, who, scene)
  if (node.step === 3)
    applyHere(step(`${who}: memory is proven${node.read === 2 ? ', the change dropped' : ''}`), who, scene)
}

function open(then: State, who: Who, { memoryOf }: Scene, opened: number): void {
  const { revoker, mine, register } = then
  then[who].step = 1
  then[who].opened = opened
  if (who === 'one' && revoker.phase === 1) then.one.after = 1
  if (who === 'two' && revoker.ask === 2) {
    revoker.ask = 3
    then.two.after = 1
  }
  if (who === memoryOf) mine.began = register.known
}

function fail(then: State, who: Who): void {
  // Without an application there is no acknowledgement. That the question may be heard again is more than can happen.
  if (then[who].after && who === 'two' && then.revoker.ask === 3) then.revoker.ask = 1
  rest(then[who])
}

function rest(node: State[Who]): void {
  node.step = node.age = node.opened = node.read = node.after = node.reached = 0
}

function applyThere(state: State, step: Stepper, who: Who, scene: Scene): void {
  const { redisFails, longest } = scene
  const { opened, read, age } = state[who]
  const applies = read === 2 && opened === 1
  const invalidate = (then: State) => {
    if (applies) then.redis.entry = 0
    if (!then.redis.entry) then.redis.beat = 0
  }
  if (opened > 0) {
    const then = step(`${who}: ${applies ? 'INVALIDATE, ' : ''}BEAT`)
    then.redis.beat = longest - age
    invalidate(then)
    if (read > 0) then.redis.past = 1
    then[who].reached = 1
    isDone(then, who, scene)
  }
  if (!redisFails && opened > 0) return
  isDone(step(`${who}: Redis fails`), who, scene)
  if (applies) {
    const then = step(`${who}: INVALIDATE, then Redis fails`)
    invalidate(then)
    isDone(then, who, scene)
  }
}

/** What follows in memory is a step of its own only where it is looked at. */
function isDone(then: State, who: Who, scene: Scene): void {
  then[who].step = 3
  if (who !== scene.memoryOf) applyHere(then, who, scene)
}

function drop({ mine }: State, { change, design }: Scene): void {
  mine.first = 0
  if (change === 'role' && !design.dropsOneSession) mine.second = 0
  if (mine.flight > 0) mine.stale = 1
}

function dropFirst(then: State, who: Who, scene: Scene): void {
  const node = then[who]
  node.step = 4
  if (node.read !== 2) return
  if (who === scene.memoryOf) drop(then, scene)
  if (scene.design.acksEarly && who === 'two' && node.after) then.revoker.ask = node.opened > 0 ? 5 : 4
}

function applyHere(then: State, who: Who, scene: Scene): void {
  const { design } = scene
  const node = then[who]
  const { mine, revoker } = then
  if (who === scene.memoryOf) {
    if (node.read === 2 && !design.dropsFirst) drop(then, scene)
    const behind = node.reached ? 0 : 1
    if (mine.behind && !behind && mine.flight > 0 && !design.catchesUpSilently) mine.stale = 1
    mine.behind = behind
    const proves = design.provesEarlierReadings ? then.register.known : mine.began
    mine.proven = proves ? (design.provesFromTheEnd ? LEASE : Math.max(0, LEASE - node.age)) : 0
    mine.began = 0
  }
  if (node.read > 0) node.past = 1
  if (who === 'one' && node.after && revoker.phase === 1) revoker.own = Math.max(revoker.own, 1 + node.reached)
  if (who === 'two' && node.after && revoker.ask === 3) revoker.ask = 4 + node.reached
  if (who === 'two' && design.unnumbered && revoker.phase === 0) revoker.older = 1 + node.reached
  rest(node)
}
