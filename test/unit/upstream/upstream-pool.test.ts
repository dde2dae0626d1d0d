/** The queue in front of an upstream, with calls that hold a connection and send nothing: no socket is opened. */
import t from 'tap'
import type { UpstreamConfig } from '../../../src/config/gateway-file.js'
import type { GatewayError } from '../../../src/errors.js'
import type { Connection } from '../../../src/upstream/connection.js'
import { Upstream } from '../../../src/upstream/upstream-pool.js'
import { Upstreams } from '../../../src/upstream/upstreams.js'
import { upstreamConfig } from '../../support/proxy.js'

const CONNECTIONS = 1024
const WAITING = 1024
const UNHEARD = { onChange: () => {}, onRetry: () => {} }

class FakeCall {
  connection: Connection | null = null
  refused: GatewayError | null = null
  readonly avoid = null
  ended: () => void = () => {}
  send = (connection: Connection): void => {
    this.connection = connection
  }
  refuse = (error: GatewayError): void => {
    this.refused = error
    this.ended()
  }
}

function anUpstream(overrides: Partial<UpstreamConfig> = {}): Upstream {
  return new Upstream(upstreamConfig({ targets: ['http://127.0.0.1:1'], ...overrides }), UNHEARD)
}

function submit(upstream: Upstream, count: number): FakeCall[] {
  return Array.from({ length: count }, () => {
    const call = new FakeCall()
    upstream.submit(call)
    return call
  })
}

t.test('one slow upstream has so many calls and no more: the rest is refused at once (K21)', async t => {
  const upstream = anUpstream()

  const calls = submit(upstream, CONNECTIONS + WAITING)
  const [tooMany] = submit(upstream, 1)

  t.equal(calls.filter(call => call.connection !== null).length, CONNECTIONS)
  t.notOk(calls.some(call => call.refused !== null))
  t.match(tooMany?.refused, { code: 'UPSTREAM_OVERLOADED', reason: 'queue_full', headers: { 'retry-after': '1' } })
  for (const call of calls) upstream.withdraw(call)
})

t.test('a waiting call gets the next free connection, first come first served', async t => {
  const upstream = anUpstream()
  const [first] = submit(upstream, CONNECTIONS)
  const [second, third] = submit(upstream, 2)

  upstream.release(first?.connection as Connection)

  t.equal(second?.connection, first?.connection)
  t.equal(third?.connection, null)
  upstream.withdraw(third as FakeCall)
})

t.test('nobody waits longer than a connection may take', async t => {
  const upstream = anUpstream({ connectTimeoutMs: 20 })
  submit(upstream, CONNECTIONS)
  const [late] = submit(upstream, 1)

  await new Promise<void>(resolve => {
    if (late !== undefined) late.ended = resolve
  })

  t.match(late?.refused, { code: 'UPSTREAM_OVERLOADED', reason: 'queue_timeout' })
})

t.test('a withdrawn call is neither sent nor refused', async t => {
  const upstream = anUpstream()
  const [first] = submit(upstream, CONNECTIONS)
  const [gone, next] = submit(upstream, 2)

  t.equal(upstream.withdraw(gone as FakeCall), true)
  t.equal(upstream.withdraw(gone as FakeCall), false, 'it waits no more')
  upstream.release(first?.connection as Connection)

  t.equal(gone?.connection, null)
  t.equal(next?.connection, first?.connection)
})

t.test('calls go where the fewest are running', async t => {
  const upstream = anUpstream({ targets: ['http://127.0.0.1:1', 'http://127.0.0.1:2'] })

  const calls = submit(upstream, 6)
  const onFirst = calls.filter(call => call.connection?.target.origin === 'http://127.0.0.1:1')
  t.equal(onFirst.length, 3)

  for (const call of onFirst) upstream.release(call.connection as Connection)
  const more = submit(upstream, 3)
  t.ok(more.every(call => call.connection?.target.origin === 'http://127.0.0.1:1'))
})

t.test('a target that is back takes its full share after ten seconds, not at once (issue 4)', async t => {
  const { now } = performance
  let later = 0
  t.intercept(performance, 'now', { value: () => now.call(performance) + later })
  const upstream = anUpstream({ targets: ['http://127.0.0.1:1', 'http://127.0.0.1:2'] })
  const [first] = submit(upstream, 1)
  const target = first?.connection?.target
  const itsShareOf = (count: number): number => {
    const calls = submit(upstream, count)
    for (const { connection } of calls) upstream.release(connection as Connection)
    return calls.filter(({ connection }) => connection?.target === target).length
  }
  upstream.release(first?.connection as Connection)
  target?.health.failed('econnrefused', performance.now(), false)
  t.equal(itsShareOf(22), 0, 'it is out')

  later = 1500
  const [trying, other] = submit(upstream, 2)
  t.equal(trying?.connection?.target, target, 'one call tries')
  t.not(other?.connection?.target, target)
  target?.health.answered(performance.now())
  for (const call of [trying, other]) upstream.release(call?.connection as Connection)

  t.equal(itsShareOf(22), 2)
  later += 5000
  t.ok(Math.abs(itsShareOf(30) - 10) <= 1)
  later += 5000
  t.equal(itsShareOf(30), 15)
})

t.test('the connection used last is used first', async t => {
  const upstream = anUpstream()
  const [one, two] = submit(upstream, 2)
  upstream.release(one?.connection as Connection)
  upstream.release(two?.connection as Connection)

  const [next] = submit(upstream, 1)

  t.equal(next?.connection, two?.connection)
})

t.test('a reload keeps what did not change and replaces what did (contract section 3)', async t => {
  const orders = upstreamConfig({ name: 'orders', targets: ['http://127.0.0.1:1'] })
  const billing = upstreamConfig({ name: 'billing', targets: ['http://127.0.0.1:2'] })
  const upstreams = new Upstreams([orders, billing], UNHEARD)
  const before = { orders: upstreams.get('orders'), billing: upstreams.get('billing') }

  upstreams.replace([{ ...orders }, { ...billing, maxBodyBytes: 5 }])

  t.equal(upstreams.get('orders'), before.orders)
  t.not(upstreams.get('billing'), before.billing)
  upstreams.replace([orders])
  t.throws(() => upstreams.get('billing'), /billing/)
  await upstreams.close()
})

t.test('two names on neighbouring ports are two upstreams (A26, CVE-2026-16158)', async t => {
  const configs = [
    upstreamConfig({ name: 'a', targets: ['http://127.0.0.1:3100'] }),
    upstreamConfig({ name: 'b', targets: ['http://127.0.0.1:31001'] })
  ]
  const upstreams = new Upstreams(configs, UNHEARD)

  const [toA] = submit(upstreams.get('a'), 1)
  const [toB] = submit(upstreams.get('b'), 1)

  t.equal(toA?.connection?.target.origin, 'http://127.0.0.1:3100')
  t.equal(toB?.connection?.target.origin, 'http://127.0.0.1:31001')
})

t.test('the key for an upstream is a bearer credential, or none (R54)', async t => {
  t.equal(anUpstream({ internalKey: 'secret' }).authorization, 'Bearer secret')
  t.equal(anUpstream().authorization, null)
})
