/**
 * The clean-up of the outbox runs beside everything else: twenty slow statements are twelve seconds, a proof lasts one.
 */
import t from 'tap'
import { eventually } from '../../support/eventually.js'
import { startSessionStack } from '../../support/session-stack.js'

const isPoll = (statement: string) => statement.includes('next_cursor')
const isDelete = (statement: string) => /^delete from \S+gateway_outbox/.test(statement)
const BETWEEN_TWO_MS = 16 * 60 * 1000

t.test(
  'a clean-up that drags on holds up no poll, and ends after the statement under way when the feed stops',
  async t => {
    const stack = await startSessionStack(t)
    const { sql } = stack
    const skip = skipTime(t)
    await sql`insert into gateway_outbox (kind, key, at)
    select 's', i::text, now() - interval '2 hours' from generate_series(1, 20000) i`
    await sql.unsafe(`create function drag() returns trigger language plpgsql as 'begin perform pg_sleep(0.3); return null; end';
    create trigger drag before delete on gateway_outbox for each statement execute function drag()`)
    const node = await stack.aGateway(t, { localLeaseMs: 500 })
    const deletes = () => node.polls.filter(isDelete).length

    const polled = node.polls.filter(isPoll).length
    await eventually(() => node.polls.filter(isPoll).length === polled + 2, 'a cursor was kept for the next clean-up')
    skip(BETWEEN_TWO_MS)
    await eventually(() => deletes() === 6, 'the clean-up is at its sixth statement', 10_000)
    const since = node.polls.slice(node.polls.findIndex(isDelete))

    t.ok(since.filter(isPoll).length >= 2, since.map(statement => statement.slice(0, 6)).join())
    await node.feed.stop()
    t.equal(deletes(), 6)
    const [left] = await sql`select count(*)::int as rows from gateway_outbox`
    t.equal(left?.['rows'], 14_000, 'it would have gone on')
  }
)

/** From now on the process's clock is so much ahead; its timers are not. */
function skipTime(t: { teardown: (fn: () => unknown) => unknown }): (ms: number) => void {
  const now = performance.now.bind(performance)
  let ahead = 0
  performance.now = () => now() + ahead
  t.teardown(() => {
    performance.now = now
  })
  return ms => {
    ahead += ms
  }
}
