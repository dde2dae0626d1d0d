/** The connection to Redis: quick to give up, quick to come back, and never mistaken about whom it talks to. */
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { freePort } from '../../../src/data/postgres-cluster.js'
import { RedisLink } from '../../../src/data/redis.js'
import { eventually } from '../../support/eventually.js'
import { startFlakyLink } from '../../support/flaky-link.js'
import { startRedis } from '../../support/redis.js'

function aLink(t: Test, url: string) {
  const heard: string[] = []
  const link = new RedisLink(url, (up, reason) => heard.push(up ? 'up' : `down: ${reason}`))
  t.teardown(() => link.close())
  return { link, heard }
}

const known = (link: RedisLink) => eventually(() => link.run !== '', 'the server says who it is')
const unknown = (link: RedisLink) => eventually(() => link.run === '', 'the connection is given up')

t.test('a server that restarts is another one, and in between there is none', async t => {
  const server = await startRedis(t)
  const { link, heard } = aLink(t, server.url)
  await known(link)
  const before = link.run
  t.equal(heard.at(-1), 'up')

  await server.kill9()
  await unknown(link)
  t.match(heard.at(-1), /^down: /)
  await server.restart()
  await known(link)

  t.match(before, /^[0-9a-f]{40}$/)
  t.not(link.run, before)
  t.equal(heard.filter(each => each === 'up').length, 2)

  const closed = once(link.client, 'end')
  link.close()
  await closed
  t.equal(heard.at(-1), 'up', 'whoever closes it need not be told')
})

t.test('a server that was never there is told of, once, whatever the address (R67)', async t => {
  const port = await freePort()
  const urls = ['redis://', 'rediss://', 'redis+cluster://', 'redis+sentinel://'].map(
    kind => `${kind}127.0.0.1:${port}`
  )
  for (const url of urls) {
    const { link, heard } = aLink(t, url.includes('sentinel') ? `${url}/main` : url)
    let failures = 0
    link.client.on('error', () => failures++)
    await eventually(() => failures >= 3, 'three attempts')

    t.equal(heard.length, 1, url)
    t.match(heard[0], /^down: .*ECONNREFUSED|^down: All sentinels/)
  }
})

t.test('one that does not say who it is cannot be used, and that is told (R67)', async t => {
  const server = await startRedis(t)
  const operator = aLink(t, server.url).link
  await known(operator)
  await operator.client.call('ACL', 'SETUSER', 'poor', 'on', '>poor', '~*', '+@all', '-info')

  const { heard } = aLink(t, server.url.replace('//', '//poor:poor@'))
  await eventually(() => heard.some(each => each.includes('NOPERM')), 'told')
  t.notOk(heard.includes('up'))
})

t.test('a frozen server costs a command 50 ms, is given up after a second, and found again (R2)', async t => {
  const server = await startRedis(t)
  const { link } = aLink(t, server.url)
  await known(link)
  const before = link.run

  server.pause()
  const started = performance.now()
  await t.rejects(link.client.get('a'), /timed out/)
  const waited = performance.now() - started
  await unknown(link)
  server.resume()
  await known(link)

  t.ok(waited >= 49 && waited < 250, `${waited} ms`)
  t.equal(link.run, before, 'the same process as before')
})

t.test('without a connection a command fails at once and is not kept for later (R1)', async t => {
  const server = await startRedis(t)
  const { link } = aLink(t, server.url)
  await known(link)
  await server.kill9()
  await unknown(link)

  const started = performance.now()
  await t.rejects(link.client.set('late', '1'))
  t.ok(performance.now() - started < 40)
  await server.restart()
  await known(link)

  t.equal(await link.client.get('late'), null)
})

t.test('a host that vanished without a word is given up too', async t => {
  const server = await startRedis(t)
  const way = await startFlakyLink(t, server.port)
  const { link } = aLink(t, `redis://127.0.0.1:${way.port}`)
  await known(link)

  way.stall()
  await t.rejects(link.client.get('a'), /timed out/)
  await unknown(link)
  way.cut()
  way.resume()

  await known(link)
})

t.test('a server that became read-only is left for the one behind the same name', async t => {
  const [master, replica] = [await startRedis(t), await startRedis(t)]
  const way = await startFlakyLink(t, master.port)
  const { link } = aLink(t, `redis://127.0.0.1:${way.port}`)
  await known(link)
  const before = link.run

  await link.client.call('REPLICAOF', '127.0.0.1', String(replica.port))
  way.leadTo(replica.port)
  await t.rejects(link.client.set('a', '1'), /READONLY/)
  await eventually(() => link.run !== '' && link.run !== before, 'connected to the other')

  t.equal(await link.client.set('a', '1'), 'OK')
})

t.test('Sentinels name the master, also after a failover', async t => {
  const master = await startRedis(t)
  const replica = await startRedis(t, { args: ['--replicaof', '127.0.0.1', String(master.port)] })
  const watch = `sentinel monitor main 127.0.0.1 ${master.port} 1\nsentinel down-after-milliseconds main 500\n`
  const sentinel = await startRedis(t, { sentinel: `${watch}sentinel failover-timeout main 2000\n` })
  const { link } = aLink(t, `redis+sentinel://127.0.0.1:${sentinel.port}/main`)
  const asked = aLink(t, sentinel.url).link
  await known(link)
  const before = link.run
  await eventually(async () => {
    const found = (await asked.client.call('SENTINEL', 'REPLICAS', 'main').catch(() => [])) as unknown[]
    return found.length === 1
  }, 'the Sentinel knows the replica')

  await master.kill9()
  await eventually(() => link.run !== '' && link.run !== before, 'connected to the new master', 30_000)

  t.match(await link.client.info('server'), new RegExp(`tcp_port:${replica.port}`))
  t.equal(await link.client.set('a', '1'), 'OK')
})

t.test('of a cluster the owner of our slot, wherever it is and moves to', async t => {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000']
  const [first, second] = [await startRedis(t, { args }), await startRedis(t, { args })]
  const setUp = [aLink(t, first.url).link, aLink(t, second.url).link] as const
  await Promise.all(setUp.map(known))
  const [a, b] = setUp.map(({ client }) => client) as [RedisLink['client'], RedisLink['client']]
  await a.call('CLUSTER', 'ADDSLOTSRANGE', '0', '330', '332', '16383')
  await b.call('CLUSTER', 'ADDSLOTSRANGE', '331', '331')
  await a.call('CLUSTER', 'MEET', '127.0.0.1', String(second.port))
  await eventually(async () => (await serves(a)) && (await serves(b)), 'the cluster is up', 20_000)

  const { link } = aLink(t, `redis+cluster://127.0.0.1:1,127.0.0.1:${first.port}`)
  await known(link)
  t.match(await link.client.info('server'), new RegExp(`tcp_port:${second.port}`))
  t.equal(await link.client.set('{sg}:a', '1'), 'OK')
  const before = link.run

  const target = String(await a.call('CLUSTER', 'MYID'))
  await link.client.del('{sg}:a')
  await b.call('CLUSTER', 'SETSLOT', '331', 'NODE', target)
  await a.call('CLUSTER', 'SETSLOT', '331', 'NODE', target)
  await t.rejects(link.client.set('{sg}:a', '2'), /MOVED/)
  await eventually(() => link.run !== '' && link.run !== before, 'connected to the new owner')
  t.equal(await link.client.set('{sg}:a', '2'), 'OK')
})

async function serves(node: RedisLink['client']): Promise<boolean> {
  return String(await node.call('CLUSTER', 'INFO').catch(() => '')).includes('state:ok')
}
