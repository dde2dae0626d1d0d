/** Hashing is bounded, and what is over the bound is told so at once. */
import { readdir, readFile } from 'node:fs/promises'
import { getPriority } from 'node:os'
import { hashPassword, verifyPassword } from 'better-auth/crypto'
import t from 'tap'
import { createPasswordGate } from '../../../src/auth/password-gate.js'
import { eventually } from '../../support/eventually.js'

t.test('hashes are in Better Auth’s own format, so that another server on the database reads them', async t => {
  const gate = createPasswordGate(1, 1)
  const theirs = await hashPassword('correct horse')

  t.ok(await gate.verify({ hash: theirs, password: 'correct horse' }))
  t.notOk(await gate.verify({ hash: theirs, password: 'wrong horse' }))
  const ours = await gate.hash('correct horse')
  t.match(ours, /^[0-9a-f]{32}:[0-9a-f]{128}$/)
  t.ok(await verifyPassword({ hash: ours, password: 'correct horse' }))

  // Two ways to write one password, NFC and NFD.
  t.ok(await gate.verify({ hash: await hashPassword('caf\u00e9'), password: 'cafe\u0301' }))
})

t.test('it gives way to everything else on a busy core', async t => {
  const ours = getPriority()
  const before = new Set(await threads())
  const work = createPasswordGate(1, 1).hash('correct horse')
  const nice = async () => Promise.all((await threads()).filter(each => !before.has(each)).map(niceOf))

  // Elsewhere threads have no priority of their own, and to lower the process's would be the opposite of a favour.
  if (process.platform === 'linux') {
    await eventually(async () => (await nice()).includes(10), 'a thread comes behind the others')
  }
  await work
  t.equal(getPriority(), ours, 'requests keep theirs')
})

/** Of this process, by their ids. */
async function threads(): Promise<string[]> {
  return process.platform === 'linux' ? readdir('/proc/self/task') : []
}

async function niceOf(id: string): Promise<number> {
  const stat = await readFile(`/proc/self/task/${id}/stat`, 'utf8')
  return Number(stat.slice(stat.lastIndexOf(')')).split(' ')[17])
}

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
