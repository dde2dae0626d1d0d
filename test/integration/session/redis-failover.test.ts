/**
 * Failover to a replica that lags: what it brings back must be worth nothing (revocation.md, counterexample 7; D27).
 */
import t from 'tap'
import { RedisLink } from '../../../src/data/redis.js'
import { hashToken } from '../../../src/session/session.js'
import { type FillTicket, RedisSessionCache } from '../../../src/session/session-cache.js'
import { eventually } from '../../support/eventually.js'
import { startFlakyLink } from '../../support/flaky-link.js'
import { startRedis } from '../../support/redis.js'
import { aSession } from '../../support/sessions.js'

const CACHED = hashToken('cached')
const LEASED = hashToken('leased')
const SESSION = aSession()

t.test('entries and leases that a lagging replica kept are neither hit nor filled', async t => {
  const master = await startRedis(t, { args: ['--repl-diskless-sync-delay', '0'] })
  const replica = await startRedis(t, { args: ['--replicaof', '127.0.0.1', String(master.port)] })
  const way = await startFlakyLink(t, master.port)
  const link = new RedisLink(`redis://127.0.0.1:${way.port}`, () => {}, 2000)
  const direct = new RedisLink(replica.url, () => {}, 2000)
  t.teardown(() => [link, direct].forEach(each => each.close()))
  const cache = new RedisSessionCache(link, 300)
  await eventually(() => link.run !== '' && direct.run !== '', 'both say who they are')
  const masterRun = link.run
  cache.database = 'db'
  const began = await cache.open()
  await cache.reset(began.state, 'db', '1', '100:100:')
  const { state } = await cache.open()
  await cache.beat(state, '1', '100:100:', began.now + 60_000)
  const reply = await cache.lookup([CACHED, LEASED])
  const ticket = reply?.ticket as FillTicket
  await cache.fill(ticket, [{ hash: CACHED, session: SESSION, leftMs: 60_000 }])
  await eventually(async () => (await direct.client.exists(`{sg}:s:${CACHED}`)) === 1, 'the replica has it')

  await direct.client.call('REPLICAOF', 'NO', 'ONE')
  t.equal(await direct.client.persist(`{sg}:l:${LEASED}`), 1, 'time is not what ends the lease')
  await cache.invalidate([CACHED, LEASED].map(key => ({ kind: 'session', key })))
  t.match((await cache.lookup([CACHED]))?.answers, ['leased'], 'gone from the master')
  way.leadTo(replica.port)
  way.cut()
  await eventually(() => link.run === direct.run, 'the link leads to the replica')

  t.not(link.run, masterRun)
  t.equal(await direct.client.exists(`{sg}:s:${CACHED}`, `{sg}:l:${LEASED}`), 2, 'both survived their invalidation')
  t.equal(await cache.fill(ticket, [{ hash: LEASED, session: SESSION, leftMs: 60_000 }]), 0)
  t.match((await cache.lookup([CACHED]))?.answers, ['leased'], 'the old entry is a miss')
})
