/** `health`: targets that come and go, as real servers do. */
import dns from 'node:dns'
import { once } from 'node:events'
import { request } from 'node:http'
import t from 'tap'
import { upstreamLevels, upstreamsHealth } from '../../../src/upstream-report.js'
import type { TargetChange } from '../../../src/upstream/upstream-events.js'
import { Upstreams } from '../../../src/upstream/upstreams.js'
import { eventually } from '../../support/eventually.js'
import { startProxy, upstreamConfig } from '../../support/proxy.js'
import { startUpstream } from '../../support/upstream.js'

const health = { path: '/well', intervalMs: 20 }

async function ask(port: number, path: string): Promise<number> {
  const [answer] = await once(request({ port, host: '127.0.0.1', path, agent: false }).end(), 'response')
  answer.resume()
  await once(answer, 'end')
  return answer.statusCode as number
}

t.test('a target whose checks fail gets no calls, and gets them again when they succeed', async t => {
  const [sick, well] = [await startUpstream(t), await startUpstream(t)]
  let status = 503
  sick.respond = (_request, response) => response.writeHead(status).end()
  const upstream = { targets: [sick.origin, well.origin], health }
  const proxy = await startProxy(t, '', { upstream })
  await eventually(() => proxy.changes.length === 1, 'the target is out')
  t.match(proxy.changes, [{ target: `127.0.0.1:${sick.port}`, out: true, reason: 'check_503' }])

  for (let i = 0; i < 6; i++) t.equal(await ask(proxy.port, '/x'), 200)
  t.notOk(sick.received.some(({ url }) => url === '/x'))

  status = 204
  await eventually(() => proxy.changes.length === 2, 'the target is back')
  t.match(proxy.changes[1], { out: false, reason: 'check' })
  well.respond = (_request, response) => setTimeout(() => response.end(), 50)
  await eventually(async () => {
    await Promise.all(Array.from({ length: 30 }, () => ask(proxy.port, '/x')))
    return sick.received.some(({ url }) => url === '/x')
  }, 'it gets calls again')
})

t.test('one failed check is none, and the first goes out at once', async t => {
  const target = await startUpstream(t)
  target.respond = (_request, response) => response.writeHead(target.received.length % 2 === 0 ? 200 : 500).end()
  const proxy = await startProxy(t, target.origin, { upstream: { health } })

  await eventually(() => target.received.length > 10, 'ten checks')

  t.strictSame(proxy.changes, [])
  const slow = await startUpstream(t)
  await startProxy(t, slow.origin, { upstream: { health: { ...health, intervalMs: 60_000 } } })
  await eventually(() => slow.received.length === 1, 'a check')
  t.match(slow.received[0], { method: 'GET', url: '/well' })
})

t.test('a target that takes the check and says nothing is not well', async t => {
  const target = await startUpstream(t)
  target.respond = asked => void asked.resume()
  const proxy = await startProxy(t, target.origin, { upstream: { health, headersTimeoutMs: 50 } })

  await eventually(() => proxy.changes.length === 1, 'the target is out')

  t.match(proxy.changes, [{ out: true, reason: /check_/ }])
})

t.test('when all are out, all are asked: a health path that lies costs nobody an answer', async t => {
  const targets = [await startUpstream(t), await startUpstream(t)]
  for (const target of targets) {
    target.respond = ({ url }, response) => response.writeHead(url === '/well' ? 500 : 200).end()
  }
  const proxy = await startProxy(t, '', { upstream: { targets: targets.map(({ origin }) => origin), health } })
  await eventually(() => proxy.changes.length === 2, 'both are out')

  for (let i = 0; i < 4; i++) t.equal(await ask(proxy.port, '/x'), 200)
  for (const { received } of targets) t.ok(received.some(({ url }) => url === '/x'))
})

t.test('without checks, calls find out: one tries when a second has passed', async t => {
  const well = await startUpstream(t)
  const first = await startUpstream(null)
  await first.close()
  const proxy = await startProxy(t, '', { upstream: { targets: [first.origin, well.origin], retries: 1 } })

  for (let i = 0; i < 6; i++) t.equal(await ask(proxy.port, '/x'), 200)
  t.match(proxy.changes, [{ out: true, reason: 'econnrefused' }])

  const again = await startUpstream(t, { port: first.port })
  await eventually(async () => (await ask(proxy.port, '/x')) === 200 && proxy.changes.length === 2, 'it is back')
  t.match(proxy.changes[1], { target: `127.0.0.1:${first.port}`, out: false, reason: 'answered' })
  t.ok(again.received.length > 0)
})

t.test('the answers a target gives itself do not put it out, failures of the exchange do', async t => {
  const target = await startUpstream(t)
  const proxy = await startProxy(t, target.origin)

  for (let i = 0; i < 8; i++) t.equal(await ask(proxy.port, '/__fault/status/503'), 503)
  t.strictSame(proxy.changes, [])
  for (let i = 0; i < 4; i++) t.equal(await ask(proxy.port, '/__fault/reset'), 502)
  for (let i = 0; i < 6; i++) t.equal(await ask(proxy.port, '/x'), 200)
  t.equal(await ask(proxy.port, '/__fault/reset'), 502)
  t.strictSame(proxy.changes, [], 'more are answered than fail')
  t.equal(await ask(proxy.port, '/__fault/reset'), 502)
  t.match(proxy.changes, [{ out: true }])
})

t.test('who takes calls and loses them gets none for a while, then one at a time (K22)', async t => {
  const target = await startUpstream(t)
  const proxy = await startProxy(t, target.origin)
  for (let i = 0; i < 5; i++) t.equal(await ask(proxy.port, '/__fault/reset'), 502)
  t.match(proxy.changes, [{ out: true }])
  const heard = target.received.length

  const answer = await fetch(`http://127.0.0.1:${proxy.port}/x`)
  t.equal(answer.status, 503)
  t.equal(answer.headers.get('retry-after'), '1')
  t.match(await answer.json(), { code: 'UPSTREAM_OVERLOADED' })
  t.equal(target.received.length, heard, 'it was not asked')

  await eventually(async () => (await ask(proxy.port, '/__fault/reset')) === 502, 'one tries')
  t.equal(target.received.length, heard + 1)
  t.equal(await ask(proxy.port, '/x'), 503, 'and failed: nobody else for two seconds')
  await eventually(async () => (await ask(proxy.port, '/x')) === 200, 'the next one is answered')
  t.equal(await ask(proxy.port, '/x'), 200)
  t.match(proxy.changes, [{ out: true }, { out: false, reason: 'answered' }])
})

t.test('who cannot be reached is asked all the same, and answers as soon as it is there', async t => {
  const gone = await startUpstream(null)
  await gone.close()
  const proxy = await startProxy(t, gone.origin)
  for (let i = 0; i < 6; i++) t.equal(await ask(proxy.port, '/x'), 502)
  t.match(proxy.changes, [{ out: true, reason: 'econnrefused' }])

  await startUpstream(t, { port: gone.port })

  t.equal(await ask(proxy.port, '/x'), 200)
})

t.test('a reload ends the checks of what is gone; readiness and gauges tell how many are left', async t => {
  const [sick, well] = [await startUpstream(t), await startUpstream(t)]
  sick.respond = (_request, response) => response.writeHead(500).end()
  const changes: TargetChange[] = []
  const config = upstreamConfig({ name: 'orders', targets: [sick.origin, well.origin], health })
  const upstreams = new Upstreams([config], { onChange: change => changes.push(change), onRetry: () => {} })
  await eventually(() => changes.length === 1, 'one is out')

  t.strictSame(upstreamLevels(upstreams.all), { 'upstream:orders': 0.5 })
  t.strictSame(upstreamsHealth(upstreams.all), {
    ok: false,
    needed: false,
    detail: 'targets that get calls: orders 1 of 2'
  })

  upstreams.replace([{ ...config, health: null }])
  t.strictSame(upstreamLevels(upstreams.all), { 'upstream:orders': 0 })
  await eventually(() => sick.connections.open === 0, 'the check under way is over')
  const before = sick.received.length
  await new Promise(resolve => setTimeout(resolve, 3 * health.intervalMs))
  t.equal(sick.received.length, before)
  await upstreams.close()
})

t.test('every new connection resolves the name again', async t => {
  const target = await startUpstream(t)
  const lookUp = t.capture(dns, 'lookup', dns.lookup)
  const proxy = await startProxy(t, `http://localhost:${target.port}`)

  t.equal(await ask(proxy.port, '/one'), 200)
  t.equal(await ask(proxy.port, '/two'), 200)
  const kept = ofName(lookUp())
  target.closeIdleConnections()
  await eventually(() => target.connections.open === 0, 'the connection is closed')
  t.equal(await ask(proxy.port, '/three'), 200)

  t.equal(kept, 1)
  t.equal(ofName(lookUp()), 1)
})

function ofName(calls: readonly { args: readonly unknown[] }[]): number {
  return calls.filter(({ args }) => args[0] === 'localhost').length
}
