/** The scripts in the orders that break simpler caches, on a real Redis. The heartbeat is set by hand. */
import t, { type Test } from 'tap'
import { RedisLink } from '../../../src/data/redis.js'
import { hashToken, type TokenHash } from '../../../src/session/session.js'
import { type CacheReply, type FillTicket, RedisSessionCache } from '../../../src/session/session-cache.js'
import { eventually } from '../../support/eventually.js'
import { startRedis, type TestRedis } from '../../support/redis.js'
import { aSession } from '../../support/sessions.js'

const H = hashToken('a token')
const SESSION = aSession()
const FOREVER = 9_999_999_999_999

async function aCache(t: Test, server: TestRedis, ttlSeconds = 300) {
  const link = new RedisLink(server.url, () => {}, 2000)
  t.teardown(() => link.close())
  await eventually(() => link.run !== '', 'Redis says who it is')
  const cache = new RedisSessionCache(link, ttlSeconds)
  cache.database = 'db'
  return { cache, link, redis: link.client }
}

/** A cache with a heartbeat that does not end by itself. */
async function aLiveCache(t: Test, args: string[] = []) {
  const server = await startRedis(t, { args })
  const built = await aCache(t, server)
  await beat(built.cache)
  return { ...built, server }
}

async function beat(cache: RedisSessionCache, epoch = '1', cursor = '100:100:'): Promise<void> {
  const { state } = await cache.open()
  if (state.nonce === '') await cache.reset(state, 'db', epoch, cursor)
  const opened = await cache.open()
  if ((await cache.beat(opened.state, epoch, cursor, FOREVER)) === 0) throw new Error('no heartbeat')
}

async function miss(cache: RedisSessionCache, hash: TokenHash = H): Promise<FillTicket> {
  const reply = await cache.lookup([hash])
  if (reply?.answers[0] !== 'leased') throw new Error(`not a miss with a lease: ${JSON.stringify(reply)}`)
  return reply.ticket
}

async function answerOf(cache: RedisSessionCache, hash: TokenHash = H): Promise<CacheReply['answers'][number] | null> {
  return (await cache.lookup([hash]))?.answers[0] ?? null
}

const fillOf = (session = SESSION, hash: TokenHash = H) => ({ hash, session, leftMs: 60_000 })

t.test('a miss is leased to one reader, whose fill the next look-ups hit', async t => {
  const { cache } = await aLiveCache(t)

  const ticket = await miss(cache)
  t.equal(await answerOf(cache), 'missed', 'the second reader gets no lease')
  t.equal(await cache.fill(ticket, [fillOf()]), 1)

  t.strictSame(await answerOf(cache), SESSION)
  t.equal(await cache.fill(ticket, [fillOf()]), 0, 'a lease serves once')
})

t.test('many tokens go in one script call each way (batch)', async t => {
  const { cache, redis } = await aLiveCache(t)
  const hashes = Array.from({ length: 300 }, (_, i) => hashToken(`token ${i}`))
  const even = hashes.filter((_, i) => i % 2 === 0)

  const first = await cache.lookup(hashes)
  const ticket = first?.ticket as FillTicket
  t.ok(first?.answers.every(answer => answer === 'leased'))
  await redis.config('RESETSTAT')
  const fills = even.map((hash, i) => fillOf(aSession({ id: `s${i}`, userId: `user ${i % 7}` }), hash))
  t.equal(await cache.fill(ticket, fills), 150)
  const second = await cache.lookup(hashes)
  const stats = await redis.info('commandstats')

  t.strictSame(
    second?.answers.map(answer => (typeof answer === 'object' ? answer.id : answer)),
    hashes.map((_, i) => (i % 2 === 0 ? `s${i / 2}` : 'missed'))
  )
  t.match(stats, /cmdstat_eval(sha)?:calls=[12],/)
})

t.test('a fill after the invalidation of its session is refused, and stays refused (D03, model 1)', async t => {
  const { cache } = await aLiveCache(t)

  const ticket = await miss(cache)
  await cache.invalidate([{ kind: 'session', key: H }])
  t.equal(await cache.fill(ticket, [fillOf()]), 0)
  t.equal(await answerOf(cache), 'leased')
})

t.test('a fill with the lease of somebody else is refused', async t => {
  const { cache, redis } = await aLiveCache(t)

  const late = await miss(cache)
  await redis.del(`{sg}:l:${H}`)
  const next = await miss(cache)

  t.equal(await cache.fill(late, [fillOf(aSession({ roles: ['admin'] }))]), 0)
  t.equal(await cache.fill(next, [fillOf()]), 1)
  t.strictSame(await answerOf(cache), SESSION)
})

t.test('an event of a user ends every entry of that user, and no other', async t => {
  const { cache } = await aLiveCache(t)
  const sessions = [
    { hash: hashToken('1'), session: aSession({ id: '1', userId: 'ada' }) },
    { hash: hashToken('2'), session: aSession({ id: '2', userId: 'ada' }) },
    { hash: hashToken('3'), session: aSession({ id: '3', userId: 'bob' }) }
  ]
  const hashes = sessions.map(({ hash }) => hash)
  const reply = await cache.lookup(hashes)
  const fills = sessions.map(each => ({ ...each, leftMs: 60_000 }))
  t.equal(await cache.fill(reply?.ticket as FillTicket, fills), 3)

  await cache.invalidate([{ kind: 'user', key: 'ada' }])

  const after = await cache.lookup(hashes)
  t.match(after?.answers, ['leased', 'leased', { id: '3' }])
})

t.test(
  'a role read before a change of it is never filled, though the session was not named (D04, user-model)',
  async t => {
    const { cache } = await aLiveCache(t)

    const ticket = await miss(cache)
    await cache.invalidate([{ kind: 'user', key: SESSION.userId }])

    t.equal(await cache.fill(ticket, [fillOf()]), 0)
  }
)

t.test('the mark of user events survives its own eviction: a stale fill stays refused (D25)', async t => {
  const { cache, redis } = await aLiveCache(t)
  const other = hashToken('another')

  const before = await miss(cache)
  await cache.invalidate([{ kind: 'user', key: SESSION.userId }])
  await redis.del('{sg}:q')
  t.equal(await cache.fill(before, [fillOf()]), 0, 'no mark, no fill')

  await redis.del('{sg}:l:' + H, '{sg}:q')
  const again = await miss(cache)
  await cache.invalidate([{ kind: 'user', key: SESSION.userId }])
  await redis.del('{sg}:q')
  await miss(cache, other)
  t.equal(await cache.fill(again, [fillOf()]), 0, 'a mark begun anew is another one')
})

t.test('losing an entry, a generation or a lease costs a miss and nothing else (D25)', async t => {
  const { cache, redis } = await aLiveCache(t)
  const keys = { entry: `{sg}:s:${H}`, generation: '{sg}:ug:ada' }
  for (const [what, key] of Object.entries(keys)) {
    t.equal(await cache.fill(await miss(cache), [fillOf()]), 1)
    t.equal(await redis.del(key), 1)
    t.equal(await answerOf(cache), 'leased', what)
    await redis.del(`{sg}:l:${H}`)
  }
  const ticket = await miss(cache)
  await redis.del(`{sg}:l:${H}`)
  t.equal(await cache.fill(ticket, [fillOf()]), 0, 'lease')
})

t.test('no heartbeat, or that of another database: bypass, and no lease (D26)', async t => {
  const { cache, redis } = await aLiveCache(t)
  t.equal(await cache.fill(await miss(cache), [fillOf()]), 1)

  cache.database = 'd'
  t.equal(await cache.lookup([H]), null)
  cache.database = ''
  t.equal(await cache.lookup([H]), null)
  cache.database = 'db'
  t.match(await answerOf(cache), { id: SESSION.id })

  await redis.del('{sg}:alive')
  t.equal(await cache.lookup([H]), null)
  t.equal(await redis.exists(`{sg}:l:${H}`), 0)
})

t.test('a heartbeat ends by the clock of Redis, three seconds after the clock of its poll', async t => {
  const { cache, redis } = await aLiveCache(t)
  const { now, state } = await cache.open()

  t.ok(Math.abs(now - Date.now()) < 1000)
  await cache.beat(state, '1', '100:100:', now + 3000)
  t.equal(await redis.call('PEXPIRETIME', '{sg}:alive'), now + 3000)

  const { state: before } = await cache.open()
  t.equal(await cache.beat(before, '1', '200:200:', now - 1), 0, 'one from a poll too long ago')
  t.strictSame((await cache.open()).state, before, 'moves nothing, the cursor least of all')
})

t.test('a new epoch ends every entry and every lease (TRUNCATE)', async t => {
  const { cache } = await aLiveCache(t)
  t.equal(await cache.fill(await miss(cache), [fillOf()]), 1)
  const other = hashToken('another')
  const ticket = await miss(cache, other)

  await beat(cache, '2')

  t.equal(await answerOf(cache), 'leased')
  t.equal(await cache.fill(ticket, [fillOf(SESSION, other)]), 0)
})

t.test('a poll that is behind the state in Redis cannot renew the heartbeat', async t => {
  const { cache } = await aLiveCache(t)
  const { state } = await cache.open()
  const beats = await cache.beat(state, '2', '200:200:', FOREVER)

  t.equal(beats, state.beats + 1)
  t.equal(await cache.beat(state, '1', '150:150:', FOREVER), 0, 'an earlier epoch')
  t.equal(
    await cache.beat({ ...state, beats: beats + 1 }, '2', '200:200:', FOREVER),
    0,
    'data older than what was polled'
  )
  t.ok(await cache.beat(state, '2', '150:150:', FOREVER), 'slower than another process, but of this state')
  t.equal((await cache.open()).state.cursor, '200:200:', 'the cursor never goes back')
})

t.test('of two cursors the later stays: the greater xmax, or the same with less of it still running', async t => {
  const { cache } = await aLiveCache(t)
  for (const [next, stays] of [
    ['98:110:98,105', '98:110:98,105'],
    ['105:110:105', '105:110:105'],
    ['98:110:98,105', '105:110:105'],
    ['110:110:', '110:110:'],
    ['105:110:105', '110:110:'],
    ['98:109:98', '110:110:'],
    ['98:1000:98,105', '98:1000:98,105']
  ] as const) {
    await beat(cache, '1', next)
    t.equal((await cache.open()).state.cursor, stays, next)
  }
})

t.test('beginning anew ends everything at once, and only one of several may', async t => {
  const { cache } = await aLiveCache(t)
  t.equal(await cache.fill(await miss(cache), [fillOf()]), 1)
  const { state } = await cache.open()

  t.equal(await cache.reset(state, 'db', '1', '300:300:'), true)
  t.equal(await cache.reset(state, 'db', '1', '300:300:'), false, 'somebody was faster')
  t.equal(await cache.beat(state, '1', '300:300:', FOREVER), 0, 'a poll from before it')
  t.equal(await cache.lookup([H]), null)

  await beat(cache, '1', '300:300:')
  await beat(cache, '1', '300:300:')
  t.equal(await answerOf(cache), 'leased')
  t.equal(await cache.beat(state, '1', '300:300:', FOREVER), 0, 'however many beats later')
})

t.test('a session lives in the cache no longer than in the database, and no longer than the TTL (R49)', async t => {
  const server = await startRedis(t)
  const { cache, redis } = await aCache(t, server, 20)
  await beat(cache)
  const lives = async (leftMs: number) => {
    await redis.del(`{sg}:s:${H}`, `{sg}:l:${H}`)
    await cache.fill(await miss(cache), [{ hash: H, session: SESSION, leftMs }])
    return redis.pttl(`{sg}:s:${H}`)
  }

  const short = await lives(1500.7)
  t.ok(short > 1000 && short <= 1500, String(short))
  const long = await lives(3_600_000)
  t.ok(long > 19_000 && long <= 20_000, String(long))
  t.equal(await lives(0.5), -2, 'over before it began')
  t.equal(await lives(-5), -2)

  const other = hashToken('another')
  const reply = await cache.lookup([hashToken('third'), other])
  const fills = [{ ...fillOf(SESSION, hashToken('third')), leftMs: 0 }, fillOf(SESSION, other)]
  t.equal(await cache.fill(reply?.ticket as FillTicket, fills), 1, 'the others of its batch go in')
})

t.test('an entry of another run of the server, of another format or damaged is a miss, never an error', async t => {
  const { cache, redis } = await aLiveCache(t)
  t.equal(await cache.fill(await miss(cache), [fillOf()]), 1)
  const entry = (await redis.get(`{sg}:s:${H}`)) as string
  const [bind, user, generation] = entry.split('|')
  const damaged = {
    'another run': entry.replace(/^(\d+):\w+/, '$1:0000'),
    'another format': entry.replace(/^\d+:/, '0:'),
    'no body': `${bind}|${user}|${generation}|`,
    'a body that is no session': `${bind}|${user}|${generation}|["x"]`,
    'another generation': `${bind}|${user}|x|${entry.split('|').at(-1)}`,
    'not an entry': 'x',
    empty: ''
  }

  for (const [what, value] of Object.entries(damaged)) {
    await redis.set(`{sg}:s:${H}`, value)
    t.match(await answerOf(cache), /leased|missed/, what)
    await redis.del(`{sg}:l:${H}`)
  }
})

t.test('ids may contain anything, our separators too', async t => {
  const { cache, redis } = await aLiveCache(t)
  const strange = aSession({ id: 'a|b', userId: 'a|b:{x}*\n', email: 'ä|"@example.com', roles: ['|'] })

  t.equal(await cache.fill(await miss(cache), [fillOf(strange)]), 1)
  t.strictSame(await answerOf(cache), strange)
  await cache.invalidate([{ kind: 'user', key: strange.userId }])
  t.equal(await answerOf(cache), 'leased')
  t.notOk(
    (await redis.keys('*')).some(key => key.includes('a token')),
    'no key names a token (C17)'
  )
})

t.test('a Redis without memory refuses fills, and nothing else: hits and invalidations go on (R4)', async t => {
  const { cache, redis, link } = await aLiveCache(t)
  const other = hashToken('another')
  t.equal(await cache.fill(await miss(cache), [fillOf()]), 1)
  const ticket = await miss(cache, other)
  await redis.config('SET', 'maxmemory', '1')

  t.strictSame(await answerOf(cache), SESSION, 'a hit')
  t.equal(await cache.fill(ticket, [fillOf(SESSION, other)]), 0)
  t.equal(await answerOf(cache, hashToken('third')), 'missed', 'a miss without a lease')
  t.match((await cache.lookup([H, hashToken('fourth')]))?.answers, [SESSION, 'missed'], 'a hit beside a miss')
  await beat(cache)
  await cache.invalidate([
    { kind: 'session', key: H },
    { kind: 'user', key: 'ada' }
  ])
  t.equal(await answerOf(cache), 'missed')
  t.equal(link.breaker.state, 'closed')
})

t.test('a demoted master serves no hits (reading from a replica that lags)', async t => {
  const { cache, redis } = await aLiveCache(t)
  t.equal(await cache.fill(await miss(cache), [fillOf()]), 1)

  await redis.call('REPLICAOF', '127.0.0.1', '1')

  t.equal(await cache.lookup([H]), null)
  await t.rejects(cache.invalidate([{ kind: 'session', key: H }]), 'and an invalidation there is known to have failed')
})

t.test('FLUSHALL and SCRIPT FLUSH: bypass, then begin anew (D25)', async t => {
  const { cache, redis } = await aLiveCache(t)
  t.equal(await cache.fill(await miss(cache), [fillOf()]), 1)

  await redis.flushall()
  await redis.script('FLUSH')
  t.equal(await cache.lookup([H]), null)

  await beat(cache)
  t.equal(await cache.fill(await miss(cache), [fillOf()]), 1)
  t.strictSame(await answerOf(cache), SESSION)
})
