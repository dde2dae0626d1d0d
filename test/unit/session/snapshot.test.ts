/** What a snapshot of PostgreSQL sees, and which of two came first. */
import t from 'tap'
import { earlier, seenBy } from '../../../src/session/snapshot.js'

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
