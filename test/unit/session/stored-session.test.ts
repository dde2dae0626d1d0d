/** What a row says is read once, and never taken for what another row says (R52). */
import t from 'tap'
import { LastRead } from '../../../src/session/last-read.js'
import { createRowReader, type SessionRow } from '../../../src/session/stored-session.js'

const FACTS = ['s1', 'u1', 'ada@example.com', true, 'user, admin', false, 'acme', 'owner', false, null, null, 1, 2]

function row(token: string, facts: readonly unknown[] = [...FACTS, false, null], secondsLeft = 60): SessionRow {
  return [token, JSON.stringify(facts), secondsLeft]
}

t.test('the same text is the same session; how long it lives is of each row', t => {
  const read = createRowReader()
  const first = read([row('a')]).get('a')
  const second = read([row('a', undefined, 59)]).get('a')
  t.equal(first?.facts, second?.facts)
  t.same([first?.secondsLeft, second?.secondsLeft], [60, 59])
  t.match(first?.facts, { banned: false, rotation: null, session: { userId: 'u1', roles: ['user', 'admin'] } })
  t.end()
})

t.test('what has changed is read anew: a role, a ban, a new token', t => {
  const read = createRowReader()
  read([row('a')])
  const changed = [...FACTS, false, null].with(4, 'user')
  t.same(read([row('a', changed)]).get('a')?.facts.session.roles, ['user'])
  t.equal(read([row('a', changed.with(5, true))]).get('a')?.facts.banned, true)
  t.equal(read([row('a', changed.with(13, true))]).get('a')?.facts.rotation, 'due')
  t.same(read([row('a', changed.with(14, 'b'))]).get('a')?.facts.rotation, { token: 'b' })
  t.end()
})

t.test('rows of one batch are told apart by their tokens', t => {
  const found = createRowReader()([row('a'), row('b', [...FACTS.with(1, 'u2'), false, null])])
  t.same(
    [...found].map(([token, { facts }]) => [token, facts.session.userId]),
    [
      ['a', 'u1'],
      ['b', 'u2']
    ]
  )
  t.end()
})

t.test('a row of another statement is an error, not a session', t => {
  for (const facts of ['{}', '[]', 'null', JSON.stringify(FACTS)]) {
    t.throws(() => createRowReader()([['a', facts, 60]]), TypeError, facts)
  }
  t.throws(() => createRowReader()([['a', 'no JSON', 60]]), SyntaxError)
  t.end()
})

t.test('a text is read once for a key, a long one each time, and memory has an end', t => {
  let reads = 0
  const texts = new LastRead(text => ({ text, read: ++reads }))
  t.equal(texts.read('a', 'one'), texts.read('a', 'one'))
  t.equal(texts.read('b', 'one').read, 2, 'of another key')
  t.equal(texts.read('a', 'two').text, 'two')
  const long = 'x'.repeat(2049)
  t.not(texts.read('a', long), texts.read('a', long))

  for (let i = 0; i < 10_000; i++) texts.read(`key ${i}`, 'text')
  const before = reads
  texts.read('b', 'one')
  t.equal(reads, before + 1, 'forgotten, and read anew')
  t.end()
})
