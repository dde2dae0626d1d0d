/**
 * The cache in memory on a fleet of real parts: who answers from it, and that no answer to a revocation leaves
 * before nobody does any more (G1). Counterexamples by the numbers of docs/revocation.md.
 */
import t from 'tap'
import { eventually } from '../../support/eventually.js'
import { startFlakyLink } from '../../support/flaky-link.js'
import {
  type GatewayOptions,
  type SessionStack,
  startSessionStack,
  type TestGateway
} from '../../support/session-stack.js'

type Scope = { teardown: (fn: () => unknown) => unknown }

const REMEMBERING = { localLeaseMs: 1000, listening: true } as const

t.test('on one stack', async t => {
  const stack = await startSessionStack(t)
  const { sql } = stack
  const fleetOf = async (scope: Scope, ...all: readonly GatewayOptions[]) => {
    const nodes = await Promise.all(all.map(options => stack.aGateway(scope, { ...REMEMBERING, ...options })))
    for (const node of nodes) await eventually(() => node.hears(), 'the listener hears')
    return nodes as [TestGateway, TestGateway]
  }

  for (const [fleet, cached] of [
    ['with Redis', true],
    ['without Redis', false]
  ] as const) {
    t.test(`${fleet}: a hit in memory asks nobody`, async t => {
      const [node] = await fleetOf(t, { cached })
      const { token, userId } = await remembered(stack, node)
      const asked = node.statements.length

      t.equal(node.resolver.remembered({ token, entry: null })?.userId, userId)
      t.equal(node.statements.length, asked)
    })

    t.test(`${fleet}: when a revocation is answered, no node remembers (G1)`, async t => {
      const [a, b] = await fleetOf(t, { cached }, { cached })
      for (let i = 0; i < 20; i++) {
        const { token } = await remembered(stack, a)
        await rememberedBy(b, token)
        await a.store.deleteByToken(token)
        await a.feed.settle()
        t.equal(b.resolver.remembered({ token, entry: null }), null)
        t.equal((await b.resolver.resolve(token, false)).session, null)
        t.equal(a.resolver.remembered({ token, entry: null }), null)
      }
    })

    t.test(`${fleet}: a role change reaches every session of the user, and nobody else's`, async t => {
      const [a, b] = await fleetOf(t, { cached }, { cached })
      const { token, userId } = await remembered(stack, b)
      const second = await stack.addSession({ userId })
      await rememberedBy(b, second.token)
      const other = await remembered(stack, b)
      await sql`update "user" set role = 'admin' where id = ${userId}`
      await a.feed.settle()

      t.equal(b.resolver.remembered({ token, entry: null }), null)
      t.equal(b.resolver.remembered({ token: second.token, entry: null }), null)
      t.not(b.resolver.remembered({ token: other.token, entry: null }), null)
      t.strictSame((await b.resolver.resolve(token, false)).session?.roles, ['admin'])
    })

    t.test(`${fleet}: a change by SQL is in force without anybody polling for it (G2)`, async t => {
      const [node] = await fleetOf(t, { cached, polling: true })
      const { token, userId } = await remembered(stack, node)
      const polls = node.polls.length
      await sql`update "user" set banned = true where id = ${userId}`
      await eventually(() => node.resolver.remembered({ token, entry: null }) === null, 'the ban is in force')

      t.equal((await node.resolver.resolve(token, false)).session, null)
      t.ok(node.polls.length > polls)
    })
  }

  t.test('a node that cannot answer is waited for, no longer than it may remember', async t => {
    const [a, b] = await fleetOf(t, {}, {})
    const { token } = await remembered(stack, b)
    b.deafen()
    await a.store.deleteByToken(token)
    await a.feed.settle()

    t.equal(b.resolver.remembered({ token, entry: null }), null)
  })

  t.test('a node that is gone without a word costs the wait of one lease, not an answer', async t => {
    const [a] = await fleetOf(t, {})
    await sql`insert into gateway_node (id, lease_ms, lease_until) values ('dead', 400, now() + interval '1 minute')`
    t.teardown(() => sql`delete from gateway_node where id = 'dead'`)
    const { token } = await remembered(stack, a)
    await a.feed.settle()
    const from = performance.now()
    await a.store.deleteByToken(token)
    await a.feed.settle()
    const waited = performance.now() - from

    t.ok(waited >= 400 && waited < 1500, `${Math.round(waited)} ms`)
    t.match(a.waits.at(-1), { outcome: 'lease_ended' })
  })

  t.test('a dead node of which only the grace lease is left is not waited for: it has no memory to give up', async t => {
    const [a] = await fleetOf(t, {})
    await sql`insert into gateway_node (id, lease_ms, lease_until, grace_until)
      values ('dead', 1000, now() - interval '1 second', now() + interval '5 minutes')`
    t.teardown(() => sql`delete from gateway_node where id = 'dead'`)
    const { token } = await remembered(stack, a)
    await a.store.deleteByToken(token)
    await a.feed.settle()

    t.match(a.waits.at(-1), { outcome: 'acknowledged' })
  })

  t.test('alone, a gateway waits for nobody', async t => {
    const [a] = await fleetOf(t, {})
    await eventually(async () => (await sql`select from gateway_node`).length === 1, 'the others have left')
    await a.feed.settle()
    await a.feed.settle()

    t.match(a.waits.at(-1), { outcome: 'alone', ms: Number })
  })

  t.test('what was dropped during a look-up is not remembered by it (counterexample 11)', async t => {
    const [node] = await fleetOf(t, {})
    const { token, userId } = await stack.addSession()
    const looking = node.resolver.resolve(token, false)
    node.local?.drop([{ kind: 'user', key: 'somebody-else' }])
    t.equal((await looking).session?.userId, userId)

    t.equal(node.resolver.remembered({ token, entry: null }), null)
  })

  t.test('while Redis may not know what was dropped, its hits are not remembered', async t => {
    const [node] = await fleetOf(t, { localLeaseMs: 10_000 })
    const { token } = await remembered(stack, node)
    await node.feed.stop()
    node.local?.clear()
    node.local?.setRedisBehind(true)
    const { source } = await node.resolver.resolve(token, false)

    t.equal(source, 'redis')
    t.equal(node.resolver.remembered({ token, entry: null }), null)
  })

  t.test('a session is not remembered beyond its end', async t => {
    const [node] = await fleetOf(t, {})
    const { token } = await stack.addSession({ seconds: 2 })
    await rememberedBy(node, token)
    await eventually(async () => (await node.resolver.resolve(token, true)).session === null, 'it has ended')

    t.equal(node.resolver.remembered({ token, entry: null }), null)
  })

  t.test('TRUNCATE empties the memory of every node', async t => {
    const [a, b] = await fleetOf(t, {}, {})
    const { token } = await remembered(stack, b)
    await sql`truncate session`
    await a.feed.settle()

    t.equal(b.resolver.remembered({ token, entry: null }), null)
    t.equal(b.local?.size, 0)
  })

  t.test('a gateway that leaves strikes itself off the register', async t => {
    const scope: (() => unknown)[] = []
    await fleetOf({ teardown: fn => scope.push(fn) }, {})
    const before = await sql`select from gateway_node`
    for (const fn of scope) await fn()

    t.equal((await sql`select from gateway_node`).length, before.length - 1)
  })
})

t.test('PostgreSQL out of reach of one node: it forgets by itself, and a revocation waits for that', async t => {
  const stack = await startSessionStack(t)
  const way = await startFlakyLink(t, Number(new URL(stack.postgres.url).port))
  const url = new URL(stack.postgres.url)
  url.port = String(way.port)
  const a = await stack.aGateway(t, REMEMBERING)
  const b = await stack.aGateway(t, { ...REMEMBERING, postgresUrl: url.href })
  const { token } = await remembered(stack, b)

  way.stall()
  await a.store.deleteByToken(token)
  const from = performance.now()
  await a.feed.settle()

  t.equal(b.resolver.remembered({ token, entry: null }), null)
  t.ok(performance.now() - from < 2500, 'a lease, and no more')
  way.resume()
  way.cut()
  await eventually(() => b.feed.current, 'it comes back')
  await remembered(stack, b)
})

t.test('Redis dead: memory goes on over PostgreSQL, and revocations are answered in time (R1)', async t => {
  const stack = await startSessionStack(t)
  const a = await stack.aGateway(t, { ...REMEMBERING, graceful: true })
  const b = await stack.aGateway(t, { ...REMEMBERING, graceful: true })
  await eventually(async () => (await leasesOf(stack)) === 2, 'both hold a grace lease')
  await stack.redis.kill9()
  await eventually(async () => (await leasesOf(stack)) === 0, 'both have given it up')

  const { token } = await remembered(stack, b)
  await a.store.deleteByToken(token)
  await a.feed.settle()

  t.equal(b.resolver.remembered({ token, entry: null }), null)
  t.equal((await b.resolver.resolve(token, false)).session, null)
})

async function leasesOf({ sql }: SessionStack): Promise<number> {
  return (await sql`select from gateway_node where grace_until > now()`).length
}

async function remembered(stack: SessionStack, node: TestGateway) {
  const session = await stack.addSession()
  await rememberedBy(node, session.token)
  return session
}

/** Any change elsewhere keeps a look-up under way from being remembered, so it may take more than one. */
async function rememberedBy(node: TestGateway, token: string): Promise<void> {
  await eventually(async () => {
    await node.resolver.resolve(token, false)
    return node.resolver.remembered({ token, entry: null }) !== null
  }, 'it is remembered')
}
