/**
 * PostgreSQL slow, busy, gone, silent: every look-up ends, soon, and never as a wrong answer (R64, R65, R66; P1, P2,
 * P3).
 */
import t, { type Test } from 'tap'
import { rotationSql } from '../../../schema/rotation-sql.js'
import { GatewayError } from '../../../src/errors.js'
import type { Lookup } from '../../../src/session/session.js'
import { createSessionQuery } from '../../../src/session/session-query.js'
import { SessionStore } from '../../../src/session/session-store.js'
import type { StoredSession } from '../../../src/session/stored-session.js'
import { eventually } from '../../support/eventually.js'
import { startFlakyLink } from '../../support/flaky-link.js'
import { startSessionStack, type SessionStack, type TestGateway } from '../../support/session-stack.js'

interface Outcome {
  readonly answer: Lookup | GatewayError
  readonly ms: number
}

async function ask(gateway: TestGateway, token: string): Promise<Outcome> {
  const started = performance.now()
  const answer = await gateway.resolver.resolve(token, true).catch((error: unknown) => error as GatewayError)
  return { answer, ms: performance.now() - started }
}

function unavailable(t: Test, { answer, ms }: Outcome, withinMs: number, what: string): void {
  t.match(answer, { code: 'AUTH_SERVICE_UNAVAILABLE', statusCode: 503, headers: { 'retry-after': '1' } }, what)
  t.ok(ms < withinMs, `${what}: ${Math.round(ms)} ms, at most ${withinMs}`)
}

const isLive = ({ answer }: Outcome) => !(answer instanceof GatewayError) && answer.session !== null
const recovers = (gateway: TestGateway, token: string) =>
  eventually(async () => isLive(await ask(gateway, token)), 'look-ups are answered again', 15_000)

/** Nobody can read the session table until the returned function is called. */
async function lockSessions(stack: SessionStack): Promise<() => Promise<void>> {
  const held = await stack.sql.reserve()
  await held`begin`
  await held`lock table session in access exclusive mode`
  return async () => {
    await held`rollback`
    held.release()
  }
}

t.test('on one stack', async t => {
  const stack = await startSessionStack(t)

  t.test('who comes after a statement was sent goes with the next one, however many (counterexample 10)', async t => {
    const gateway = await stack.aGateway(t)
    const { token } = await stack.addSession()
    const unlock = await lockSessions(stack)

    const first = ask(gateway, token)
    await eventually(() => gateway.statements.length === 1, 'the first statement is sent')
    const later = [ask(gateway, token), ask(gateway, token), ask(gateway, token)]
    t.equal(gateway.statements.length, 1, 'nobody asks the same thing beside it')
    await unlock()

    for (const outcome of await Promise.all([first, ...later])) t.ok(isLive(outcome))
    t.equal(gateway.statements.length, 2)
  })

  t.test('beside a statement under way tokens gather, but not for ever, and go together', async t => {
    const gateway = await stack.aGateway(t, { slots: 2 })
    const sessions = await Promise.all(Array.from({ length: 18 }, () => stack.addSession()))
    const unlock = await lockSessions(stack)
    const outcomes: Promise<Outcome>[] = []
    const askFor = async (from: number, to: number) => {
      for (const { token } of sessions.slice(from, to)) {
        outcomes.push(ask(gateway, token))
        await new Promise(setImmediate)
      }
    }

    await askFor(0, 1)
    t.equal(gateway.statements.length, 1)
    await askFor(1, 6)
    await eventually(() => gateway.statements.length === 2, 'whoever waits is sent without any answer')
    await askFor(6, 18)
    await new Promise(resolve => setTimeout(resolve, 20))
    t.equal(gateway.statements.length, 2, 'every slot is taken')
    await unlock()

    for (const outcome of await Promise.all(outcomes)) t.ok(isLive(outcome))
    t.equal(gateway.statements.length, 3)
  })

  t.test('a database too slow: 503 after its own limit, and sooner for those who only wait (P2, P3)', async t => {
    const gateway = await stack.aGateway(t, { slots: 1 })
    const [a, b] = [await stack.addSession(), await stack.addSession()]
    const unlock = await lockSessions(stack)

    const asked = ask(gateway, a.token)
    await eventually(() => gateway.statements.length === 1, 'the only slot is taken')
    const [waiting, late] = await Promise.all([ask(gateway, b.token), ask(gateway, a.token)])
    unavailable(t, waiting, 750, 'waiting for a slot')
    unavailable(t, late, 750, 'waiting for the same token')
    unavailable(t, await asked, 1300, 'asked')
    await unlock()

    t.ok(isLive(await ask(gateway, b.token)))
    t.equal(gateway.lookups.breaker.state, 'closed')
  })

  t.test('while this process itself stands still nobody has waited', async t => {
    const gateway = await stack.aGateway(t, { slots: 1 })
    const [a, b] = [await stack.addSession(), await stack.addSession()]
    const asked = ask(gateway, a.token)
    await eventually(() => gateway.statements.length === 1, 'the only slot is taken')
    const behind = [ask(gateway, a.token), ask(gateway, b.token)]

    const until = performance.now() + 600
    while (performance.now() < until);

    for (const outcome of await Promise.all([asked, ...behind])) t.ok(isLive(outcome))
  })

  t.test('the queue has an end: the token after ten thousand is refused at once', async t => {
    const gateway = await stack.aGateway(t, { slots: 1 })
    const { token } = await stack.addSession()
    const unlock = await lockSessions(stack)
    const outcomes = [ask(gateway, token)]
    await eventually(() => gateway.statements.length === 1, 'the only slot is taken')

    for (let i = 0; i < 10_000; i++) outcomes.push(ask(gateway, `token-${i}`))
    unavailable(t, await ask(gateway, 'one too many'), 200, 'one too many')
    await unlock()
    await Promise.all(outcomes)

    t.ok(isLive(await ask(gateway, token)))
  })

  t.test('a token nobody knows is asked for once more, and nobody else waits for that', async t => {
    const { lookups } = await stack.aGateway(t, { slots: 2 })
    const store = new SessionStore(lookups, createSessionQuery(stack.shape, { rotation: rotationSql(stack.shape) }), 2)
    const { token, userId } = await stack.addSession()
    const answerOf = (asked: string) =>
      new Promise<StoredSession | null>((resolve, reject) =>
        store.ask({ token: asked, next: null, since: 0, found: resolve, failed: reject })
      )
    const held = await stack.sql.reserve()
    await held`begin`
    await held`lock table gateway_old_token in access exclusive mode`

    const unknown = answerOf('nobody knows it')
    t.equal((await answerOf(token))?.facts.session.userId, userId, 'of the same statement')
    t.equal((await answerOf(token))?.facts.session.userId, userId, 'and asked again meanwhile')
    await held`rollback`
    held.release()

    t.equal(await unknown, null)
  })

  t.test('a connection that dies under a look-up is replaced, and the look-up answered (R65)', async t => {
    const gateway = await stack.aGateway(t, { slots: 2 })
    const { token } = await stack.addSession()
    const unlock = await lockSessions(stack)

    const asked = ask(gateway, token)
    await eventually(async () => {
      const ended = await stack.sql`select pg_terminate_backend(pid) from pg_stat_activity
        where wait_event_type = 'Lock' and application_name = 'session-gateway'`
      return ended.length > 0
    }, 'its backend is found and ended')
    await unlock()

    t.ok(isLive(await asked))
  })

  t.test('a connection that leads nowhere is given up for a new one, without waiting for TCP', async t => {
    const way = await startFlakyLink(t, stack.postgres.port)
    const url = stack.postgres.url.replace(`:${stack.postgres.port}/`, `:${way.port}/`)
    const gateway = await stack.aGateway(t, { postgresUrl: url, polling: false, slots: 1 })
    const { token } = await stack.addSession()
    t.ok(isLive(await ask(gateway, token)))

    way.loseOpenOnes()
    unavailable(t, await ask(gateway, token), 1500, 'silence')

    t.ok(isLive(await ask(gateway, token)), 'the next one asks on a new connection')
  })

  t.test('a sign-out deletes its row and says whether there was one', async t => {
    const gateway = await stack.aGateway(t)
    const { token } = await stack.addSession()

    t.equal(await gateway.store.deleteByToken(token), true)
    t.equal(await gateway.store.deleteByToken(token), false)
    t.match((await ask(gateway, token)).answer, { session: null, reason: 'not_live' })
  })

  t.test('a statement the database refuses is an outage, not an answer, and not held against it', async t => {
    const gateway = await stack.aGateway(t)
    const { token } = await stack.addSession()
    await stack.sql`alter table session rename to session_elsewhere`

    for (let i = 0; i < 6; i++) unavailable(t, await ask(gateway, token), 500, 'no such table')
    await stack.sql`alter table session_elsewhere rename to session`

    t.ok(isLive(await ask(gateway, token)))
  })
})

t.test('the database goes away and comes back: killed, frozen (P1, RP)', async t => {
  const stack = await startSessionStack(t)
  const gateway = await stack.aGateway(t, { polling: false })
  const { token } = await stack.addSession()
  t.ok(isLive(await ask(gateway, token)))

  await stack.postgres.kill9()
  unavailable(t, await ask(gateway, token), 1500, 'killed')
  await eventually(async () => {
    await ask(gateway, token)
    return gateway.lookups.breaker.state === 'open'
  }, 'the breaker is open')
  unavailable(t, await ask(gateway, token), 50, 'known to be gone')
  await t.rejects(gateway.store.deleteByToken(token), { code: 'AUTH_SERVICE_UNAVAILABLE' }, 'no sign-out either')

  await stack.postgres.restart()
  await recovers(gateway, token)

  await stack.postgres.pause()
  unavailable(t, await ask(gateway, token), 1500, 'frozen')
  await stack.postgres.resume()
  await recovers(gateway, token)
  t.equal(gateway.lookups.busy, 0)
})
