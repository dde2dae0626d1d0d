/**
 * A write transaction that stays open, an hour of ETL or a prepared one that nobody remembers: what is committed beside
 * it is told once, the caches work, and what it did itself is in force when it commits.
 */
import t from 'tap'
import { POLL_LIMIT } from '../../../schema/outbox-sql.js'
import { eventually } from '../../support/eventually.js'
import { startSessionStack, type TestGateway } from '../../support/session-stack.js'

t.test('10,001 events beside an open transaction: one reset, then the caches work, and nothing is skipped', async t => {
  const stack = await startSessionStack(t)
  const { sql } = stack
  const node = await stack.aGateway(t, { localLeaseMs: 1000, listening: true })
  const other = await stack.aGateway(t, { polling: false })
  const ended = await stack.addSession()
  await remembers(node, ended.token)

  const open = await sql.reserve()
  await open`begin`
  await open`delete from session where token = ${ended.token}`
  const before = await nonceOf(node)
  await sql`insert into gateway_outbox (kind, key) select 's', i::text from generate_series(0, ${POLL_LIMIT}) i`
  await node.feed.settle()

  const nonce = await nonceOf(node)
  t.not(nonce, before, 'too many to apply one by one')
  for (let i = 0; i < 3; i++) {
    const polls = pollsOf(other)
    await other.feed.settle()
    t.equal(pollsOf(other) - polls, i === 0 ? 2 : 1, 'settled by one poll; the first finds too many, and asks again')
  }
  await remembers(node, ended.token)
  t.equal(await answer(other, ended.token), 'redis', 'the heartbeat is alive')
  t.equal(await nonceOf(node), nonce, 'and nothing was begun anew since')
  t.strictSame(node.events, [], 'nor told again')

  await open`commit`
  open.release()
  await other.feed.settle()
  await node.feed.settle()

  t.equal(await answer(other, ended.token), 'refused')
  t.equal(node.resolver.remembered({ token: ended.token, entry: null }), null)
  t.equal(await answer(node, ended.token), 'refused')
  await node.feed.settle()
  t.strictSame([node.events, other.events], [['session'], ['session']], 'told once')
})

t.test(
  '10,001 events are one reset for the fleet: a node that comes later has too many only for its memory',
  async t => {
    const stack = await startSessionStack(t)
    const one = await stack.aGateway(t, { polling: false })
    const other = await stack.aGateway(t, { polling: false })
    await stack.sql`insert into gateway_outbox (kind, key) select 's', i::text from generate_series(0, ${POLL_LIMIT}) i`
    await one.feed.settle()
    const nonce = await nonceOf(one)
    await other.feed.settle()

    t.equal(await nonceOf(one), nonce)
  }
)

t.test(
  'an open transaction commits, and another node moves the cursor first: ours knows that it has not seen it',
  async t => {
    const stack = await startSessionStack(t)
    const { sql } = stack
    const ours = await stack.aGateway(t, { polling: false })
    const other = await stack.aGateway(t, { polling: false })
    const [{ token }, { token: later }] = [await stack.addSession(), await stack.addSession()]
    const open = await sql.reserve()
    await open`begin`
    await open`delete from session where token = ${token}`
    await sql`delete from session where token = ${later}`
    await ours.feed.settle()
    const before = await cursorOf(ours)
    await open`commit`
    open.release()
    await other.feed.settle()
    const after = await cursorOf(ours)

    t.match(before, /^\d+:\d+:\d+$/, 'it was running')
    t.match(after, /^\d+:\d+:$/)
    t.equal(after.split(':')[1], before.split(':')[1], 'and nothing has ended after it: xmax is the same')
    await ours.feed.settle()
    t.strictSame(ours.events, ['session', 'session'])
  }
)

async function remembers(node: TestGateway, token: string): Promise<void> {
  await eventually(async () => {
    await node.resolver.resolve(token, false)
    return node.resolver.remembered({ token, entry: null }) !== null
  }, 'it is remembered')
}

async function answer(node: TestGateway, token: string): Promise<string> {
  const { session, source } = await node.resolver.resolve(token, false)
  return session === null ? 'refused' : source
}

function pollsOf({ polls }: TestGateway): number {
  return polls.filter(statement => statement.includes('next_cursor')).length
}

/** Another one after every reset. */
async function nonceOf({ cache }: TestGateway): Promise<string> {
  return (await cache.open()).state.nonce
}

async function cursorOf({ cache }: TestGateway): Promise<string> {
  return (await cache.open()).state.cursor
}
