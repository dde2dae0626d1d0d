/** `retries`: two real targets, of which one is away, dies, or is slow. */
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import t from 'tap'
import { eventually } from '../../support/eventually.js'
import { type ProxyOptions, startProxy } from '../../support/proxy.js'
import { startUpstream } from '../../support/upstream.js'

type Scope = { teardown: (fn: () => unknown) => unknown }

async function setUp(t: Scope, upstream: ProxyOptions['upstream'] = {}) {
  const targets = [await startUpstream(t), await startUpstream(t)] as const
  const proxy = await startProxy(t, '', { upstream: { targets: targets.map(({ origin }) => origin), ...upstream } })
  return { targets, proxy }
}

async function ask(port: number, path: string, { method = 'GET', agent = false, body = '' }: Asked = {}) {
  const headers = body === '' ? {} : { 'content-length': body.length }
  const sent = request({ port, host: '127.0.0.1', path, method, agent, headers }).end(body)
  const [answer] = await once(sent, 'response')
  answer.resume()
  await once(answer, 'end')
  return answer.statusCode as number
}

interface Asked {
  readonly method?: string
  readonly agent?: Agent | false
  readonly body?: string
}

/** What the proxy would call a target, were there one. */
async function nobody(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return `http://127.0.0.1:${port}`
}

t.test('one of two targets killed while 50 GETs run at a time: none fails (issue 4)', async t => {
  const { targets, proxy } = await setUp(t, { retries: 1 })
  const [dying, staying] = targets
  const agent = new Agent({ keepAlive: true, maxSockets: 50 })
  t.teardown(() => agent.destroy())
  const statuses: number[] = []
  let after = 0
  const client = async (): Promise<void> => {
    while (after < 500) {
      statuses.push(await ask(proxy.port, '/__fault/slow/5', { agent }))
      if (dead) after++
    }
  }
  let dead = false
  const clients = Promise.all(Array.from({ length: 50 }, client))
  await eventually(() => statuses.length > 500, 'the load runs')
  const before = dying.received.length
  dying.resetConnections()
  await dying.close()
  dead = true
  await clients

  t.ok(before > 100, 'the dead target had its share')
  t.ok(staying.received.length > 100)
  t.strictSame(
    statuses.filter(status => status !== 200),
    []
  )
  t.match(proxy.changes[0], { upstream: 'echo', target: `127.0.0.1:${dying.port}`, out: true, reason: /econnrefused/ })
})

t.test('a target that refuses connections costs no GET, and a POST its answer once: then it is left out', async t => {
  const upstream = await startUpstream(t)
  for (const [method, failed] of [['GET', 0], ['POST', 1]] as const) {
    const proxy = await startProxy(t, '', { upstream: { targets: [await nobody(), upstream.origin] } })
    const before = upstream.received.length

    const statuses: number[] = []
    for (let i = 0; i < 10; i++) statuses.push(await ask(proxy.port, '/x', { method, body: '' }))

    t.equal(statuses.filter(status => status === 502).length, failed, method)
    t.equal(upstream.received.length - before, 10 - failed)
    t.strictSame(proxy.retried, [], 'nobody was asked twice')
  }
})

t.test('where nobody takes a connection, each is tried once', async t => {
  const proxy = await startProxy(t, '', { upstream: { targets: [await nobody(), await nobody(), await nobody()] } })

  t.equal(await ask(proxy.port, '/x'), 502)
  t.equal(proxy.changes.length, 3)
})

t.test('what was tried again counts against its target each time (K22)', async t => {
  const upstream = await startUpstream(t)
  upstream.respond = request => void request.socket.resetAndDestroy()
  const proxy = await startProxy(t, upstream.origin, { upstream: { retries: 2 } })

  for (let i = 0; i < 2; i++) await ask(proxy.port, '/x')

  t.match(proxy.changes, [{ out: true }])
  t.equal(upstream.received.length, 5)
})

t.test('what is sent again: idempotent, without a body, and to the other target', async t => {
  for (const [method, body, status] of [
    ['GET', '', 200],
    ['HEAD', '', 200],
    ['OPTIONS', '', 200],
    ['PUT', '', 200],
    ['DELETE', '', 200],
    ['POST', '', 502],
    ['PATCH', '', 502],
    ['DELETE', 'abc', 502]
  ] as const) {
    const { targets, proxy } = await setUp(t, { retries: 1 })
    let asked = 0
    for (const target of targets) {
      target.respond = (request, response) => {
        if (asked++ === 0) request.socket.resetAndDestroy()
        else request.resume().on('end', () => response.end())
      }
    }

    t.equal(await ask(proxy.port, '/x', { method, body }), status, `${method} ${body}`)
    const seen = targets.map(({ received }) => received.length)
    t.strictSame(seen.toSorted(), status === 200 ? [1, 1] : [0, 1], `${method} ${body}`)
  }
})

t.test('the next attempt goes elsewhere, even where more is under way', async t => {
  const { targets, proxy } = await setUp(t, { retries: 1 })
  const held = Promise.all([ask(proxy.port, '/__fault/slow/400'), ask(proxy.port, '/__fault/slow/400')])
  await eventually(() => targets.every(({ received }) => received.length === 1), 'each has one call')
  const [first, second] = targets
  const more = ask(proxy.port, '/__fault/slow/400')
  await eventually(() => first.received.length + second.received.length === 3, 'one of them has two')
  const [idler, busier] = first.received.length === 1 ? [first, second] : [second, first]
  idler.respond = asked => void asked.socket.resetAndDestroy()

  t.equal(await ask(proxy.port, '/x'), 200)
  t.equal(idler.received.at(-1)?.url, '/x')
  t.equal(busier.received.at(-1)?.url, '/x')
  t.strictSame([...(await held), await more], [200, 200, 200])
})

t.test('a time-out, a bad answer and an answer that had begun are final', async t => {
  for (const [path, status] of [
    ['/__fault/hang', 504],
    ['/__fault/raw-close/SFRUUC8xLjEgMjAwIE9LDQpYOg', 502],
    ['/__fault/status/503', 503]
  ] as const) {
    const { targets, proxy } = await setUp(t, { retries: 3, headersTimeoutMs: 50 })

    t.equal(await ask(proxy.port, path), status)
    t.equal(targets[0].received.length + targets[1].received.length, 1, path)
  }
})

t.test('no more attempts than asked for, and no more than the budget has', async t => {
  const { targets, proxy } = await setUp(t, { retries: 2 })
  for (const target of targets) target.respond = request => void request.socket.resetAndDestroy()
  const received = (): number => targets[0].received.length + targets[1].received.length

  t.equal(await ask(proxy.port, '/x'), 502)
  t.equal(received(), 3)
  t.strictSame(proxy.retried, ['echo', 'echo'])

  for (let i = 0; i < 39; i++) await ask(proxy.port, '/x')
  t.ok(received() <= 40 + 5, `${received()} for 40 calls`)
})
