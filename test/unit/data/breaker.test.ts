import t from 'tap'
import { Breaker } from '../../../src/data/breaker.js'
import { eventually } from '../../support/eventually.js'

function failTimes(breaker: Breaker, times: number): void {
  for (let i = 0; i < times; i++) breaker.failed()
}

t.test('four failures in a row change nothing, the fifth opens (R66)', async t => {
  const breaker = new Breaker()

  failTimes(breaker, 4)
  t.equal(breaker.state, 'closed')
  t.ok(breaker.admits())

  breaker.failed()
  t.equal(breaker.state, 'open')
  t.notOk(breaker.admits())
})

t.test('a success in between begins the count anew', async t => {
  const breaker = new Breaker()

  failTimes(breaker, 4)
  breaker.succeeded()
  failTimes(breaker, 4)

  t.equal(breaker.state, 'closed')
})

t.test('after a second one caller may try, and only one', async t => {
  const breaker = new Breaker()
  failTimes(breaker, 5)
  const openedAt = performance.now()

  await eventually(() => breaker.admits(), 'a try')

  t.ok(performance.now() - openedAt >= 999)
  t.equal(breaker.state, 'half-open')
  t.notOk(breaker.admits(), 'the others wait for the outcome')
})

t.test('the try decides: a success closes, a failure opens for another second', async t => {
  const breaker = new Breaker()
  failTimes(breaker, 5)

  await eventually(() => breaker.admits(), 'a try')
  breaker.failed()
  t.equal(breaker.state, 'open')
  t.notOk(breaker.admits())

  await eventually(() => breaker.admits(), 'another try')
  breaker.succeeded()
  t.equal(breaker.state, 'closed')
  t.ok(breaker.admits())
})

t.test('whatever one stall takes with it is one failure (R66)', t => {
  const breaker = new Breaker()
  const sentAt = performance.now()

  for (let i = 0; i < 20; i++) breaker.failed(sentAt)
  t.equal(breaker.state, 'closed', 'all of them were sent before the first was known to have failed')

  for (let stall = 2; stall <= 5; stall++) breaker.failed(performance.now())
  t.equal(breaker.state, 'open', 'four more, one after the other')
  t.end()
})

t.test('a failure from before it opened does not stand in for the try', async t => {
  const breaker = new Breaker()
  const sentAt = performance.now()
  failTimes(breaker, 5)
  await eventually(() => breaker.admits(), 'a try')

  breaker.failed(sentAt)

  t.equal(breaker.state, 'half-open')
  t.notOk(breaker.admits(), 'the try is still under way')
})

t.test('where somebody else was answered one caller may try at once, and only one', async t => {
  const breaker = new Breaker()
  failTimes(breaker, 5)

  breaker.retryNow()

  t.ok(breaker.admits())
  t.notOk(breaker.admits(), 'the others wait for the outcome')
  breaker.failed()
  t.notOk(breaker.admits(), 'a try that fails opens it for a second, as ever')
})
