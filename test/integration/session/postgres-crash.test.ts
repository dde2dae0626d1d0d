/**
 * One process of PostgreSQL dies, and the server begins anew from its log without a new start time. Transaction ids
 * that had not reached the disk are given out again, so a cursor from before would pass over what they do now.
 */
import t from 'tap'
import { eventually } from '../../support/eventually.js'
import { startSessionStack } from '../../support/session-stack.js'

t.test('after a crash nothing is believed of any copy, and cursors begin anew', async t => {
  const stack = await startSessionStack(t)
  const { sql } = stack
  const node = await stack.aGateway(t, { localLeaseMs: 1000 })
  const startOf = async () => (await sql`select pg_postmaster_start_time()::text as at, pg_backend_pid() as pid`)[0]
  const before = await startOf()
  const { nonce } = (await node.cache.open()).state

  process.kill(before?.pid, 'SIGKILL')

  await eventually(async () => (await node.cache.open()).state.nonce !== nonce, 'all copies are ended', 15_000)
  t.equal((await startOf())?.at, before?.at, 'though by its own word it is the same server')
  const { token } = await stack.addSession()
  await eventually(async () => {
    await node.resolver.resolve(token, false)
    return node.resolver.remembered({ token, entry: null }) !== null
  }, 'and the caches work again')
})
