/** What could not be ended is tried again, within bounds. */
import t from 'tap'
import { EndLater, type Ending } from '../../../src/auth/end-later.js'
import { eventually } from '../../support/eventually.js'

const one = (token: string): Ending => ({ of: 'tokens', tokens: [token] })

function watched(end: (ending: Ending, cause: string, ageMs: number) => Promise<unknown>) {
  const [ended, givenUp] = [[] as string[], [] as string[]]
  const later = new EndLater({ end, onEnded: cause => ended.push(cause), onGivenUp: cause => givenUp.push(cause) })
  return { later, ended, givenUp }
}

t.test('it is tried until it succeeds, one that fails holds up nobody, and each knows how long ago it was', async t => {
  const asked: [string, number][] = []
  const { later, ended, givenUp } = watched(async (ending, cause, ageMs) => {
    t.equal(ending.of, 'tokens')
    asked.push([cause, ageMs])
    if (cause === 'locked' && asked.length < 5) throw new Error('locked')
  })
  t.teardown(() => later.stop())
  later.add({ ending: one('a'), cause: 'locked', askedAt: performance.now() - 10_000 })
  later.add({ ending: one('b'), cause: 'free', askedAt: performance.now() })

  await eventually(() => ended.length === 2, 'both are ended')

  t.strictSame(ended, ['free', 'locked'])
  t.strictSame(givenUp, [])
  t.ok(asked.every(([cause, ageMs]) => (cause === 'locked' ? ageMs >= 10_000 : ageMs < 10_000)))
})

t.test('after five minutes it is given up', async t => {
  const { later, givenUp } = watched(() => Promise.reject(new Error('away')))
  t.teardown(() => later.stop())
  later.add({ ending: one('a'), cause: 'old', askedAt: performance.now() - 301_000 })
  later.add({ ending: one('b'), cause: 'young', askedAt: performance.now() })

  await eventually(() => givenUp.length > 0, 'given up')

  t.strictSame(givenUp, ['old'])
})

t.test('what is asked for again and again waits once, as it was asked for last', async t => {
  const asked: [Ending['of'], number][] = []
  const { later, ended } = watched(async ({ of }, _cause, ageMs) => {
    asked.push([of, ageMs])
  })
  t.teardown(() => later.stop())
  for (let i = 300; i >= 0; i--) {
    for (const ending of [one('a'), { of: 'all', token: 'a' }] as const) {
      later.add({ ending, cause: 'again', askedAt: performance.now() - i * 1_000 })
    }
  }

  await eventually(() => ended.length === 2, 'it is ended')

  t.match(asked, [['tokens'], ['all']])
  t.ok(asked.every(([, ageMs]) => ageMs < 100_000))
})

t.test('a thousand wait, no more; and what waits at the end is told of', async t => {
  const { later, givenUp } = watched(() => Promise.reject(new Error('away')))
  for (let i = 0; i < 1_001; i++) later.add({ ending: one(`token-${i}`), cause: 'one', askedAt: performance.now() })
  t.equal(givenUp.length, 1)
  later.add({ ending: one('token-0'), cause: 'one', askedAt: performance.now() })
  t.equal(givenUp.length, 1, 'what waits already takes no room')

  await later.stop()

  t.equal(givenUp.length, 1_001)
  later.add({ ending: one('a'), cause: 'late', askedAt: performance.now() })
  t.equal(givenUp.at(-1), 'late')
})
