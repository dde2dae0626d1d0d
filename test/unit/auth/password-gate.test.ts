/** Hashing is bounded, and what is over the bound is told so at once. */
import { hashPassword } from 'better-auth/crypto'
import t from 'tap'
import { createPasswordGate } from '../../../src/auth/password-gate.js'

t.test('hashes are in Better Auth’s own format, so that another server on the database reads them', async t => {
  const gate = createPasswordGate(1, 1)
  const theirs = await hashPassword('correct horse')

  t.ok(await gate.verify({ hash: theirs, password: 'correct horse' }))
  t.notOk(await gate.verify({ hash: theirs, password: 'wrong horse' }))
  t.match(await gate.hash('correct horse'), /^[0-9a-f]{32}:[0-9a-f]{128}$/)
})

t.test('a full queue is a 503 at once, and those who wait all get their turn', async t => {
  const gate = createPasswordGate(1, 2)

  const work = Array.from({ length: 4 }, () => gate.hash('correct horse').then(() => 'done', refusal))

  t.strictSame((await Promise.all(work)).toSorted(), [503, 'done', 'done', 'done'])
  t.match(await gate.hash('after the rush'), /:/)
})

t.test('a hash that fails gives its place back', async t => {
  const gate = createPasswordGate(1, 0)

  await t.rejects(gate.verify({ hash: 'no hash at all', password: 'x' }))

  t.match(await gate.hash('next'), /:/)
})

function refusal(error: { statusCode: number }): number {
  return error.statusCode
}
