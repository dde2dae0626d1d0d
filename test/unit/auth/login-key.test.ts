/** What counts as one account, and what must not be counted apart. */
import t from 'tap'
import { accountKey } from '../../../src/auth/login-key.js'

const key = (fields: Record<string, unknown> | null) => accountKey(fields, 'a secret')

t.test('all spellings of one address are one account (F08)', async t => {
  const plain = key({ email: 'ada@example.com' })
  const spellings = [
    'Ada@Example.COM',
    '  ada@example.com\t',
    'ada＠example．com',
    'ada@example。com',
    'ada@example｡com',
    'ａda@example.com'
  ]

  for (const email of spellings) t.equal(key({ email }), plain, JSON.stringify(email))
  t.not(key({ email: 'ada@example.org' }), plain)
})

t.test('the key says nothing about the address to whoever reads the counters', async t => {
  t.notMatch(key({ email: 'ada@example.com' }), /ada|example/)
  t.not(accountKey({ email: 'ada@example.com' }, 'another secret'), key({ email: 'ada@example.com' }))
})

t.test('a body that names nobody has no account', async t => {
  for (const fields of [null, {}, { email: '' }, { email: '  ' }, { email: 7 }, { email: ['a@b.c'] }]) {
    t.equal(key(fields as Record<string, unknown> | null), null, JSON.stringify(fields))
  }
})
