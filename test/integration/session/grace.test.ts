/**
 * PostgreSQL away from every node, or from some: `graceful` goes on with what Redis holds, and still nothing is
 * answered that a revocation has contradicted (G1). One row of docs/revocation.md's table each.
 */
import t from 'tap'
import { eventually } from '../../support/eventually.js'
import { type FlakyLink, startFlakyLink } from '../../support/flaky-link.js'
import { type SessionStack, startSessionStack, type TestGateway } from '../../support/session-stack.js'

const LONGER_THAN_A_HEARTBEAT_MS = 4_500
const OUTAGE = { code: 'AUTH_SERVICE_UNAVAILABLE', statusCode: 503 }

const sleep = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

t.test('PostgreSQL dead: graceful serves what Redis holds, and revokes nothing; strict ends (G2, P1)', async t => {
  for (const graceful of [true, false]) {
    const stack = await startSessionStack(t)
    const node = await stack.aGateway(t, { graceful, localLeaseMs: 1000 })
    const { token } = await inRedis(stack, node)
    const unknown = await stack.addSession()
    if (graceful) await holdGrace(stack, [node])

    await stack.postgres.kill9()
    await sleep(LONGER_THAN_A_HEARTBEAT_MS)

    if (graceful) t.match(await node.resolver.resolve(token, false), { source: 'redis', reason: null })
    else await t.rejects(node.resolver.resolve(token, false), OUTAGE)
    await t.rejects(node.resolver.resolve(unknown.token, false), OUTAGE, 'what Redis does not hold is not let in')
    await t.rejects(node.resolver.resolve(token, true), OUTAGE, 'nor on a strict route')
    await t.rejects(node.feed.settle(), OUTAGE)
  }
})

t.test(
  'the databases come back: what was changed behind everybody is applied before anything is vouched for',
  async t => {
    const stack = await startSessionStack(t)
    const node = await stack.aGateway(t, { graceful: true })
    const { token } = await inRedis(stack, node)
    await holdGrace(stack, [node])
    await stack.postgres.kill9()
    await sleep(LONGER_THAN_A_HEARTBEAT_MS)
    await stack.postgres.restart()
    await stack.sql`delete from session where token = ${token}`

    await eventually(async () => (await answer(node, token)) === 'refused', 'in force')
  }
)

t.test('one node without PostgreSQL, one without Redis', async t => {
  const stack = await startSessionStack(t)
  const { toPostgres, toRedis, blind, cutOff } = await twoHalves(t, stack)
  const { token } = await inRedis(stack, blind)
  toPostgres.stall()
  toRedis.stall()
  await sleep(LONGER_THAN_A_HEARTBEAT_MS)
  t.equal(await answer(blind, token), 'redis', 'it goes on, on its grace lease')

  await cutOff.store.deleteByToken(token)
  await t.rejects(cutOff.feed.settle(), OUTAGE, 'so nobody may say that the session is gone')

  toPostgres.resume()
  toPostgres.cut()
  await eventually(async () => (await answer(blind, token)) === 'refused', 'the blind one sees again')
  await eventually(
    () =>
      cutOff.feed.settle().then(
        () => true,
        () => false
      ),
    'and says so for the one without Redis'
  )
})

t.test('Redis out of reach of one node: another that reaches it answers for it, at once', async t => {
  const stack = await startSessionStack(t)
  const { toRedis, blind: near, cutOff } = await twoHalves(t, stack)
  const { token } = await inRedis(stack, near)
  toRedis.stall()
  await cutOff.store.deleteByToken(token)
  const from = performance.now()
  await cutOff.feed.settle()

  t.ok(performance.now() - from < 2_000, 'without waiting for the heartbeat to lapse')
  t.equal(await answer(near, token), 'refused')
})

async function twoHalves(t: Parameters<typeof startSessionStack>[0], stack: SessionStack) {
  const toPostgres = await startFlakyLink(t, Number(new URL(stack.postgres.url).port))
  const toRedis = await startFlakyLink(t, stack.redis.port)
  const postgresUrl = through(stack.postgres.url, toPostgres)
  const redisUrl = through(stack.redis.url, toRedis)
  const common = { graceful: true, localLeaseMs: 1000, listening: true }
  const blind = await stack.aGateway(t, { ...common, postgresUrl })
  const cutOff = await stack.aGateway(t, { ...common, redisUrl })
  await holdGrace(stack, [blind, cutOff])
  await eventually(() => blind.hears() && cutOff.hears(), 'both hear')
  return { toPostgres, toRedis, blind, cutOff }
}

function through(address: string, { port }: FlakyLink): string {
  const url = new URL(address)
  url.port = String(port)
  return url.href
}

/** A lease counts from the first reading of the outbox that began after it was registered. */
async function holdGrace(stack: SessionStack, nodes: readonly TestGateway[]): Promise<void> {
  await eventually(async () => (await graces(stack)) === nodes.length, 'the grace leases are registered')
  await sleep(200)
  for (const node of nodes) await node.feed.settle()
}

async function graces({ sql }: SessionStack): Promise<number> {
  return (await sql`select from gateway_node where grace_until > now()`).length
}

async function inRedis(stack: SessionStack, node: TestGateway): Promise<{ token: string }> {
  const session = await stack.addSession()
  await eventually(async () => {
    node.local?.clear()
    return (await answer(node, session.token)) === 'redis'
  }, 'it is in Redis')
  return session
}

async function answer(node: TestGateway, token: string): Promise<string> {
  const { session, source } = await node.resolver.resolve(token, false)
  return session === null ? 'refused' : source
}
