/** What a snapshot of PostgreSQL sees, and which of two came first. */
import t from 'tap'
import { parseState } from '../../../src/session/cache-state.js'
import { earlier, isSnapshot, seenBy } from '../../../src/session/snapshot.js'

const sees = (snapshot: string, xid: string) => seenBy(snapshot)({ xid })

t.test('a snapshot sees what had ended: below xmax, and not running', async t => {
  for (const [snapshot, seen, unseen] of [
    ['5:10:5,7', ['1', '4', '6', '8', '9'], ['5', '7', '10', '11', '100']],
    ['10:10:', ['1', '9'], ['10', '11']],
    ['9:10:9', ['8'], ['9', '10']],
    [
      '18446744073709551610:18446744073709551614:18446744073709551610',
      ['18446744073709551613'],
      ['18446744073709551610']
    ],
    ['', [], ['0', '1', '5']]
  ] as const) {
    for (const xid of seen) t.equal(sees(snapshot, xid), true, `${snapshot} sees ${xid}`)
    for (const xid of unseen) t.equal(sees(snapshot, xid), false, `${snapshot} does not see ${xid}`)
  }
})

t.test('of two snapshots of a server the earlier has the smaller xmax, or more of the same still running', async t => {
  const inOrder = ['5:9:5', '5:10:5,9', '5:10:5', '10:10:', '10:100:10,20', '20:100:20', '100:100:']
  for (const [i, one] of inOrder.entries()) {
    for (const other of inOrder.slice(i)) {
      t.equal(earlier(one, other), one, `${one} before ${other}`)
      t.equal(earlier(other, one), one)
    }
  }
})

t.test('what PostgreSQL would refuse is no snapshot, and the state it stands in says nothing', async t => {
  const good = ['1:1:', '5:10:5,7', '9:10:9', '730:735:730,730,733', '18446744073709551610:18446744073709551614:']
  const bad = ['', '5:10', '0:1:', '10:5:', '5:10:4', '5:10:10', '5:10:7,6', '5:10:7,', '5:10:,7', '5:10:x', ' 5:10:']
  for (const text of good) t.equal(isSnapshot(text), true, text)
  for (const text of bad) t.equal(isSnapshot(text), false, text)
  t.match(parseState('run', 'db|3|n|12|5:10:7'), { database: 'db', epoch: '3', nonce: 'n', beats: 12, cursor: '5:10:7' })
  t.match(parseState('run', 'db|3|n|12|10:5:'), { database: '', epoch: '', nonce: '', beats: 0, cursor: '' })
})
