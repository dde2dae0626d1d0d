/** Counting attempts: here, everywhere, and when everywhere is gone (R82, F18). */
import t from 'tap'
import { type Count, limitStore, type SharedCounter } from '../../../src/edge/limit-store.js'

function counterOf(shared: SharedCounter | null) {
  const Store = limitStore(shared)
  const store = new Store()
  return (key: string, windowMs = 60_000): Promise<Count> =>
    new Promise(resolve => store.incr(key, (_error, count) => resolve(count), windowMs))
}

t.test('without a shared counter attempts are counted here, by key and window', async t => {
  const count = counterOf(null)

  t.equal((await count('a')).current, 1)
  t.match(await count('a'), { current: 2 })
  t.equal((await count('b')).current, 1)
  const { ttl } = await count('a')
  t.ok(ttl > 59_000 && ttl <= 60_000, `${ttl} ms`)
  await count('short', 0)
  t.equal((await count('short', 0)).current, 1, 'a window that is over begins anew')
})

t.test('no window has more left than its length', async t => {
  const count = counterOf(null)
  // Just below a power of two: the end of such a window is a coarser double than its length.
  const length = 65_535
  const left = await Promise.all(Array.from({ length: 2000 }, async (_, i) => (await count(`key ${i}`, length)).ttl))
  t.equal(Math.max(...left), length)
})

t.test('the larger count decides: other nodes’ while they are heard, our own when they are not', async t => {
  const answers: (Count | Error)[] = [{ current: 7, ttl: 500 }, new Error('gone'), { current: 1, ttl: 60_000 }]
  const count = counterOf(async () => {
    const answer = answers.shift()
    if (answer === undefined || answer instanceof Error) throw answer
    return answer
  })

  t.strictSame(await count('a'), { current: 7, ttl: 500 }, 'other nodes counted more')
  t.equal((await count('a')).current, 2, 'gone: what was counted here goes on')
  t.equal((await count('a')).current, 3, 'back, but emptied: nothing is given away')
})

t.test('memory is bounded: the oldest keys go first', async t => {
  const count = counterOf(null)
  await count('first')
  await count('second')
  for (let i = 0; i < 49_999; i++) await count(`key ${i}`)

  t.equal((await count('second')).current, 2, 'still known')
  t.equal((await count('first')).current, 1, 'forgotten')
})
