/**
 * Triggers that are dropped, disabled or emptied while gateways run: the next poll sees it, and with it the next answer
 * to a revocation. From then on PostgreSQL is asked, and what happened around it is believed of no copy.
 */
import t from 'tap'
import { migrate } from '../../../src/data/migrate.js'
import { eventually } from '../../support/eventually.js'
import { type SessionStack, startSessionStack, type TestGateway } from '../../support/session-stack.js'

type Scope = { teardown: (fn: () => unknown) => unknown }

for (const [fleet, cached] of [
  ['with Redis', true],
  ['without Redis', false]
] as const) {
  t.test(fleet, async t => {
    const stack = await startSessionStack(t)
    const { sql } = stack
    const two = (t: Scope) => Promise.all([aNode(t, stack, cached), aNode(t, stack, cached)])

    t.test('a sign-out that no trigger told of is in force on the other node when it is answered (G1)', async t => {
      for (const harm of [
        'alter table session disable trigger gateway_session_deleted',
        'alter table session disable trigger user',
        'drop trigger gateway_session_deleted on session',
        `create or replace function gateway_session_changed() returns trigger language plpgsql as 'begin return null; end'`,
        `create function swallow() returns trigger language plpgsql as 'begin return null; end';
         create trigger aaa before insert on gateway_outbox for each row execute function swallow()`,
        'delete from gateway_epoch'
      ]) {
        const [a, b] = await two(t)
        const { token } = await known(stack, a, b)

        await sql.unsafe(harm)
        await a.store.deleteByToken(token)
        await a.feed.settle()

        t.equal(await answer(b, token), 'refused', harm)
        t.equal(await answer(a, token), 'refused', harm)
        t.equal(b.feed.state, 'triggers')
        const { token: another } = await stack.addSession()
        for (let i = 0; i < 3; i++) t.equal(await answer(b, another), 'postgres', 'and every look-up asks PostgreSQL')
        await mend(stack)
      }
    })

    t.test('by SQL: refused as soon as it is noticed, half a second, and believed again once they fire', async t => {
      const [a, b] = await two(t)
      const { token } = await known(stack, a, b)
      const kept = await known(stack, a, b)

      await sql`alter table session disable trigger gateway_session_deleted`
      await sql`delete from session where token = ${token}`
      for (const node of [a, b])
        await eventually(async () => (await answer(node, token)) === 'refused', 'noticed', 1500)

      await sql`alter table session enable always trigger gateway_session_deleted`
      await eventually(() => a.feed.current && b.feed.current, 'they fire again')
      t.equal(await answer(b, token), 'refused')
      await eventually(async () => (await answer(b, kept.token)) === 'local', 'remembered again')
    })

    t.test('disabled for a single DELETE and enabled again: no poll saw it, and still nobody is let in', async t => {
      const [a, b] = await two(t)
      for (const inOneTransaction of [true, false]) {
        const { token } = await known(stack, a, b)
        const steps = [
          'alter table session disable trigger gateway_session_deleted',
          `delete from session where token = '${token}'`,
          'alter table session enable always trigger gateway_session_deleted'
        ]
        if (inOneTransaction) await sql.begin(tx => tx.unsafe(steps.join('; ')))
        else for (const step of steps) await sql.unsafe(step)
        await a.feed.settle()

        t.equal(await answer(b, token), 'refused')
        t.equal(await answer(a, token), 'refused')
      }
    })

    t.test('a look-up that was under way meanwhile fills nothing', async t => {
      const [a] = await two(t)
      const { token } = await stack.addSession()
      const held = await sql.reserve()
      await held`begin`
      await held`lock table session in access exclusive mode`
      const reading = a.resolver.resolve(token, false)
      await eventually(async () => await waiting(stack), 'the look-up waits for the lock')
      await held`alter table session disable trigger gateway_session_deleted`
      await held`commit`
      held.release()
      t.equal((await reading).reason, null, 'it was live when it was read')

      await sql`delete from session where token = ${token}`
      await sql`alter table session enable always trigger gateway_session_deleted`
      await a.feed.settle()

      t.equal(await answer(a, token), 'refused')
    })
  })
}

t.test('an outbox that is gone is no outage that grace could bridge: the heartbeat lapses', async t => {
  const stack = await startSessionStack(t)
  const { sql } = stack
  const node = await stack.aGateway(t, { graceful: true, listening: true })
  await eventually(async () => (await sql`select from gateway_node where grace_until > now()`).length === 1, 'grace')

  await sql`alter table gateway_outbox rename to elsewhere`
  await t.rejects(node.feed.settle(), { code: 'AUTH_SERVICE_UNAVAILABLE' })
  await eventually(async () => (await node.link.client.exists('{sg}:alive')) === 0, 'the heartbeat lapses', 5000)
})

function aNode(t: Scope, stack: SessionStack, cached: boolean): Promise<TestGateway> {
  return stack.aGateway(t, { cached, localLeaseMs: 1000, listening: true })
}

/** In the memory of both. */
async function known(stack: SessionStack, ...nodes: readonly TestGateway[]) {
  const session = await stack.addSession()
  for (const node of nodes) {
    await eventually(async () => (await answer(node, session.token)) === 'local', 'remembered')
  }
  return session
}

/** As a request would be answered. */
async function answer({ resolver }: TestGateway, token: string): Promise<string> {
  if (resolver.remembered({ token, entry: null }) !== null) return 'local'
  const { session, source } = await resolver.resolve(token, false)
  return session === null ? 'refused' : source
}

async function mend({ sql, shape }: SessionStack): Promise<void> {
  await migrate(sql, { schema: shape.schema, mode: 'hosted' }, () => {})
}

async function waiting({ sql }: SessionStack): Promise<boolean> {
  return (
    (await sql`select from pg_stat_activity where wait_event_type = 'Lock' and query like '%seconds_left%'`).length > 0
  )
}
