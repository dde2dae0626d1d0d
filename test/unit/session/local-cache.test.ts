/** Who holds on to the place of a session must not see more than who searches for it. */
import { array, assert, boolean, constantFrom, integer, property, record } from 'fast-check'
import t from 'tap'
import { LocalCache, type LocalKey } from '../../../src/session/local-cache.js'
import { hashToken } from '../../../src/session/session.js'
import { aSession } from '../../support/sessions.js'

const MAX_AGE_MS = 1000
const TOKENS = ['t0', 't1', 't2', 't3']

const step = record({
  what: constantFrom('put', 'put', 'put', 'drop-session', 'drop-user', 'clear', 'nothing'),
  which: integer({ min: 0, max: TOKENS.length - 1 }),
  elapsedMs: constantFrom(0, 0, 0, 700, 1500),
  heldFirst: boolean()
})

/** Two tokens a user. */
const userOf = (which: number) => `user-${which % 2}`

t.test('a held place says what a search says, whatever is put, dropped, replaced or too old', async t => {
  let hits = 0
  const agree = property(array(step, { minLength: 1, maxLength: 40 }), steps => {
    const cache = new LocalCache(MAX_AGE_MS)
    cache.prove(Number.POSITIVE_INFINITY)
    const held = TOKENS.map((token): LocalKey => ({ token, entry: null }))
    let laterMs = 0
    return steps.every(({ what, which, elapsedMs, heldFirst }) => {
      laterMs += elapsedMs
      const token = TOKENS[which] as string
      if (what === 'put') cache.put(cache.mark, token, hashToken(token), aSession({ userId: userOf(which) }))
      else if (what === 'drop-session') cache.drop([{ kind: 'session', key: hashToken(token) }])
      else if (what === 'drop-user') cache.drop([{ kind: 'user', key: userOf(which) }])
      else if (what === 'clear') cache.clear()
      return held.every(key => {
        const now = performance.now() + laterMs
        const keys = [key, { token: key.token, entry: null }]
        const [first, second] = (heldFirst ? keys : keys.toReversed()).map(each => cache.get(each, now))
        if (first !== null) hits++
        return first === second
      })
    })
  })

  t.doesNotThrow(() => assert(agree, { numRuns: 2000 }))
  t.ok(hits > 1000)
})

t.test('what was dropped is kept by nobody', async t => {
  const cache = new LocalCache(MAX_AGE_MS)
  cache.prove(Number.POSITIVE_INFINITY)
  const key: LocalKey = { token: 't', entry: null }
  cache.put(cache.mark, 't', hashToken('t'), aSession({ userId: 'ada' }))
  t.equal(cache.get(key, performance.now())?.userId, 'ada')
  const place = key.entry

  cache.drop([{ kind: 'user', key: 'ada' }])

  t.equal(place?.session, null)
  t.equal(cache.get(key, performance.now()), null)
  t.equal(cache.size, 0)
})
