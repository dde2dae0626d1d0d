/** From token to session on real PostgreSQL and Redis: what is asked, how often, and what is believed. */
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { createCredentialReader } from '../../../src/session/credential.js'
import { hashToken } from '../../../src/session/session.js'
import { eventually } from '../../support/eventually.js'
import { startSessionStack, type TestGateway } from '../../support/session-stack.js'

const BATCH = /any\(\$1/
const UNKNOWN = 'a-token-nobody-has'

const filled = (gateway: TestGateway, token: string) =>
  eventually(async () => (await gateway.link.client.exists(`{sg}:s:${hashToken(token)}`)) === 1, 'the entry is there')

async function calls(gateway: TestGateway): Promise<number> {
  const stats = await gateway.link.client.info('commandstats')
  return [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0)
}

t.test('on one stack', async t => {
  const stack = await startSessionStack(t)

  t.test('the first look-up asks PostgreSQL, the next ones Redis, on every node (R49, R52)', async t => {
    const [a, b] = [await stack.aGateway(t), await stack.aGateway(t)]
    const { token, userId } = await stack.addSession()

    const first = await a.resolver.resolve(token, false)
    t.match(first, { source: 'postgres', reason: null, session: { userId, roles: ['user'] } })
    await filled(a, token)
    t.strictSame(await a.resolver.resolve(token, false), { ...first, source: 'redis' })
    t.strictSame(await b.resolver.resolve(token, false), { ...first, source: 'redis' })
    t.equal(a.statements.length + b.statements.length, 1)
    t.strictSame([a.outcomes, b.outcomes], [['live', 'live'], ['live']])
  })

  t.test('strict asks PostgreSQL whatever Redis knows (R52)', async t => {
    const gateway = await stack.aGateway(t, { polling: false })
    const { token } = await stack.addSession()
    await gateway.resolver.resolve(token, false)
    await filled(gateway, token)
    const before = await calls(gateway)

    t.match(await gateway.resolver.resolve(token, true), { source: 'postgres', reason: null })
    t.equal(await calls(gateway), before, 'and Redis nothing')
  })

  t.test('a forged credential costs no statement and no command', async t => {
    const gateway = await stack.aGateway(t, { polling: false })
    const read = createCredentialReader({
      cookieName: 'better-auth.session_token',
      secrets: [{ version: 1, value: 'a-secret-of-at-least-32-characters!' }],
      bearerUnsigned: false
    })
    const before = await calls(gateway)
    const { token } = await stack.addSession()

    const carrier = { headers: { cookie: `better-auth.session_token=${token}.${'A'.repeat(43)}%3D` }, rawHeaders: [] }
    t.equal(read(carrier).kind, 'forged')
    await turn()
    t.equal(gateway.statements.length, 0)
    t.equal(await calls(gateway), before)
  })

  t.test('a signed token that has no row: one plain statement, and nothing kept (C06, D32)', async t => {
    const gateway = await stack.aGateway(t)

    t.strictSame(await gateway.resolver.resolve(UNKNOWN, false), {
      session: null,
      source: 'postgres',
      reason: 'not_live'
    })
    t.equal(gateway.statements.length, 1)
    t.notMatch(gateway.statements[0], BATCH)
    t.equal(await gateway.link.client.exists(`{sg}:s:${hashToken(UNKNOWN)}`), 0)
  })

  t.test('a banned user is told apart in the log, and never cached (D08)', async t => {
    const gateway = await stack.aGateway(t)
    const { token, userId } = await stack.addSession()
    await stack.sql`update "user" set banned = true where id = ${userId}`
    await gateway.feed.settle()

    t.strictSame(await gateway.resolver.resolve(token, false), {
      session: null,
      source: 'postgres',
      reason: 'banned'
    })
    t.equal(await gateway.link.client.exists(`{sg}:s:${hashToken(token)}`), 0)
    await stack.sql`update "user" set ban_expires = now() - interval '1 second' where id = ${userId}`
    await gateway.feed.settle()
    t.match(await gateway.resolver.resolve(token, false), { reason: null }, 'a ban that is over is none')
  })

  t.test('look-ups of one turn: one script call, one statement, everybody his own answer (D33)', async t => {
    const gateway = await stack.aGateway(t, { polling: false })
    const sessions = await Promise.all(Array.from({ length: 40 }, () => stack.addSession()))
    const before = await calls(gateway)

    const asked = [...sessions, { token: UNKNOWN, userId: null }, ...sessions]
    const answers = await Promise.all(asked.map(({ token }) => gateway.resolver.resolve(token, false)))

    t.strictSame(
      answers.map(({ session }) => session?.userId ?? null),
      asked.map(({ userId }) => userId)
    )
    t.equal(gateway.statements.length, 1)
    t.match(gateway.statements[0], BATCH)
    await filled(gateway, sessions.at(-1)?.token ?? '')
    t.equal((await calls(gateway)) - before, 2, 'a look-up and a fill')
    t.equal(gateway.outcomes.length, 41, 'who shared an answer counts once')
  })

  t.test('a thousand look-ups of one token on a cold cache: two statements at most, all answered (D31)', async t => {
    const gateway = await stack.aGateway(t)
    const { token, userId } = await stack.addSession()

    // Nobody is answered before all of them have asked, however slow the machine is.
    const held = await stack.sql.reserve()
    await held`begin`
    await held`lock table session in access exclusive mode`
    const answers: Promise<unknown>[] = []
    for (let i = 0; i < 1000; i++) {
      answers.push(gateway.resolver.resolve(token, false))
      if (i % 100 === 0) await turn()
    }
    await held`commit`
    held.release()

    for (const answer of await Promise.all(answers)) t.match(answer, { session: { userId } })
    t.ok(gateway.statements.length <= 2, `${gateway.statements.length} statements`)
  })

  t.test('without a cache every turn asks PostgreSQL once', async t => {
    const gateway = await stack.aGateway(t, { cached: false })
    const { token } = await stack.addSession()

    for (let i = 0; i < 3; i++) {
      const twice = [gateway.resolver.resolve(token, false), gateway.resolver.resolve(token, false)]
      for (const answer of await Promise.all(twice)) t.match(answer, { source: 'postgres', reason: null })
    }

    t.equal(gateway.statements.length, 3)
    t.equal(await gateway.link.client.exists(`{sg}:s:${hashToken(token)}`), 0)
  })

  t.test('a session ends when the database says so, though Redis still has it (G3, D16, D17)', async t => {
    const gateway = await stack.aGateway(t)
    const { token } = await stack.addSession({ seconds: 1.2 })
    t.match(await gateway.resolver.resolve(token, false), { reason: null })
    await filled(gateway, token)
    t.match(await gateway.resolver.resolve(token, false), { source: 'redis' })
    await gateway.link.client.persist(`{sg}:s:${hashToken(token)}`)

    await eventually(async () => (await gateway.resolver.resolve(token, false)).session === null, 'it ends')

    const [row] = await stack.sql`select extract(epoch from now() - expires_at)::float8 as late from session
                                   where token = ${token}`
    t.ok(row?.['late'] >= -0.1 && row?.['late'] < 1, `${row?.['late']} s after its end`)
  })

  t.test('a session is live again for as long as it was renewed, without a statement too many', async t => {
    const gateway = await stack.aGateway(t)
    const { token } = await stack.addSession({ seconds: 3600 })
    await gateway.resolver.resolve(token, false)
    await filled(gateway, token)

    await stack.sql`update session set expires_at = now() + interval '7 days', updated_at = now() where token = ${token}`
    await gateway.feed.settle()

    t.match(await gateway.resolver.resolve(token, false), { source: 'redis' }, 'a renewal does not empty the cache')
  })
})
