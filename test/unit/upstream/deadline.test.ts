import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Deadline } from '../../../src/upstream/deadline.js'

/** When it passed, in milliseconds from now on. */
function aDeadline() {
  const startedAt = performance.now()
  const passed: number[] = []
  const deadline = new Deadline(() => passed.push(performance.now() - startedAt))
  return { passed, set: (ms: number) => deadline.set(startedAt + ms), stop: () => deadline.stop() }
}

t.test('it passes once, not before its time, wherever it was moved to', async t => {
  const [still, later, sooner] = [aDeadline(), aDeadline(), aDeadline()]
  still.set(30)
  later.set(30)
  later.set(120)
  sooner.set(5000)
  sooner.set(40)
  await sleep(300)

  t.match([still.passed, later.passed, sooner.passed], [[Number], [Number], [Number]])
  t.ok((still.passed[0] ?? 0) >= 29.9, `${still.passed[0]}`)
  t.ok((later.passed[0] ?? 0) >= 119.9, `${later.passed[0]}`)
  t.ok((sooner.passed[0] ?? 0) >= 39.9, `${sooner.passed[0]}`)
})

t.test('it can be set again when it has passed, and stopped', async t => {
  const again = aDeadline()
  again.set(10)
  await sleep(40)
  again.set(60)
  await sleep(60)
  t.equal(again.passed.length, 2)

  const stopped = aDeadline()
  stopped.set(10)
  stopped.stop()
  await sleep(40)
  t.strictSame(stopped.passed, [])
})
