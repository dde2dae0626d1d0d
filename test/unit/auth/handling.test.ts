/** Which failures of a query make an answer worthless. */
import t from 'tap'
import { currentHandling, newHandling, noteFailure, runHandling } from '../../../src/auth/handling.js'
import { databaseCode } from '../../../src/data/postgres-error.js'

function failure(code: string): Error {
  // As drizzle hands it on: the driver's error is the cause of its own.
  return new Error('Failed query: … params: secret', { cause: Object.assign(new Error('driver'), { code }) })
}

t.test('a query that failed through no fault of the request makes the answer worthless', async t => {
  for (const code of ['ECONNREFUSED', 'CONNECTION_CLOSED', 'CONNECT_TIMEOUT', '57P01', '25006', '53300', '42501']) {
    const handling = newHandling()

    runHandling(handling, () => noteFailure(failure(code)))

    t.ok(handling.outage, code)
    t.equal(handling.badValue, false, code)
  }
})

t.test('a value PostgreSQL refuses is the request’s fault, a taken e-mail nobody’s', async t => {
  const handling = newHandling()

  runHandling(handling, () => {
    noteFailure(failure('22021'))
    noteFailure(failure('23505'))
    noteFailure(new TypeError('no database in it'))
  })

  t.equal(handling.outage, null)
  t.equal(handling.badValue, true)
})

t.test('the first failure is kept, across awaits and apart from other requests', async t => {
  const [mine, other] = [newHandling(), newHandling()]
  const first = failure('57P01')

  await Promise.all([
    runHandling(mine, async () => {
      await Promise.resolve()
      noteFailure(first)
      noteFailure(failure('ECONNREFUSED'))
    }),
    runHandling(other, async () => t.equal(currentHandling(), other))
  ])

  t.equal(mine.outage, first)
  t.equal(other.outage, null)
})

t.test('outside a request a failure is nobody’s', async t => {
  t.doesNotThrow(() => noteFailure(failure('57P01')))
  t.equal(databaseCode(failure('57P01')), '57P01')
  t.equal(databaseCode('a string'), null)
})
