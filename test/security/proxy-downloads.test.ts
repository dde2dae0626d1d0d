/**
 * Answers on their way to the client: back-pressure, streams, clients that go away or stop reading, nothing left
 * behind.
 */
import t from 'tap'
import { eventually } from '../support/eventually.js'
import { type ProxyOptions, startProxy } from '../support/proxy.js'
import { RawConnection } from '../support/raw-http.js'
import { startUpstream } from '../support/upstream.js'

type Scope = { teardown: (fn: () => unknown) => unknown }

const MIB = 1024 * 1024

async function setUp(t: Scope, options: ProxyOptions = {}) {
  const upstream = await startUpstream(t)
  const proxy = await startProxy(t, upstream.origin, options)
  return {
    upstream,
    proxy,
    ask: async (target: string, lines: readonly string[] = [], method = 'GET', body = '') => {
      const connection = await RawConnection.open(proxy.port)
      t.teardown(() => connection.destroy())
      void connection.send([`${method} ${target} HTTP/1.1`, 'Host: gw.test', ...lines, '', body].join('\r\n'))
      return connection
    }
  }
}

t.test('a large answer arrives whole', async t => {
  const { ask } = await setUp(t)

  const connection = await ask(`/__fault/size/${5 * MIB}`)

  t.equal((await connection.answer()).body.length, 5 * MIB)
})

t.test('a client that reads slowly holds the upstream back, not our memory (G13)', async t => {
  const { upstream, proxy, ask } = await setUp(t)
  let written = 0
  upstream.respond = (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-length': 256 * MIB })
    const block = Buffer.alloc(MIB, 'x')
    const pump = (): void => {
      while (written < 256 * MIB) {
        written += MIB
        if (!response.write(block)) return
      }
    }
    response.on('drain', pump)
    pump()
  }
  const before = process.memoryUsage().arrayBuffers

  const connection = await ask('/x')
  connection.pause()
  let last = -1
  let still = 0
  await eventually(() => {
    still = written === last ? still + 1 : 0
    last = written
    return still > 20
  }, 'the upstream has stopped writing')

  t.ok(written < 64 * MIB, `${written / MIB} MiB were taken off the upstream`)
  t.ok(process.memoryUsage().arrayBuffers - before < 16 * MIB)
  t.equal(proxy.outcomes.length, 0)

  connection.resume()
  await connection.received(written + 8 * MIB)
  connection.destroy()
  t.match(await proxy.ended(1), [{ end: 'aborted' }])
})

t.test('a client that takes nothing for too long is cut off', async t => {
  const { upstream, proxy, ask } = await setUp(t, { upstream: { idleTimeoutMs: 30 } })

  const connection = await ask(`/__fault/size/${64 * MIB}`)
  connection.pause()

  t.match(await proxy.ended(1), [{ end: 'aborted' }])
  await eventually(() => upstream.connections.open === 0, 'the upstream’s connection is closed')
})

t.test('the head of a stream and each of its parts arrive as they are sent', async t => {
  const { upstream, ask } = await setUp(t)
  const events: ((text: string) => void)[] = []
  upstream.respond = (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.flushHeaders()
    events.push(text => response.write(text))
  }

  const connection = await ask('/events')
  await eventually(() => connection.unread.includes('\r\n\r\n'), 'the head is there')
  t.match(connection.unread, /text\/event-stream/)
  for (const text of ['data: 1\n\n', 'data: 2\n\n']) {
    events[0]?.(text)
    await eventually(() => connection.unread.includes(text), 'the event is there')
  }
  t.pass('head and events came one by one')
})

t.test('answers of pipelined requests come in the order of the requests', async t => {
  const { ask } = await setUp(t)

  const connection = await ask('/__fault/slow/50')
  void connection.send(
    'GET /second HTTP/1.1\r\nHost: gw.test\r\n\r\nGET /__fault/chunks/2/3 HTTP/1.1\r\nHost: gw.test\r\n\r\n'
  )

  t.match((await connection.answer()).body.toString(), /slow/)
  t.match((await connection.answer()).body.toString(), /second/)
  t.equal((await connection.answer()).body.toString(), 'xxxxxx')
})

const ABORTS: Record<string, { target: string; lines?: string[]; method?: string; body?: string; answered?: boolean }> =
  {
    'while the upstream thinks': { target: '/__fault/hang' },
    'while it uploads': { target: '/__fault/hang', lines: ['Content-Length: 1000'], method: 'POST', body: 'abc' },
    'while it uploads in chunks': {
      target: '/__fault/hang',
      lines: ['Transfer-Encoding: chunked'],
      method: 'POST',
      body: '3\r\nabc\r\n'
    },
    'while it downloads': { target: `/__fault/size/${16 * MIB}`, answered: true },
    'in the middle of a stream': { target: '/__fault/chunks/100000/10/5', answered: true }
  }

for (const [when, { target, lines, method, body, answered }] of Object.entries(ABORTS)) {
  for (const way of ['destroy', 'reset'] as const) {
    t.test(`a client that goes away ${when} (${way}) ends the upstream’s work within a second (G19)`, async t => {
      const { upstream, proxy, ask } = await setUp(t)
      const connection = await ask(target, lines, method, body)
      await eventually(() => upstream.received.length === 1, 'the upstream has the request')
      if (answered === true) await connection.received(100)

      connection[way]()

      const [outcome] = await proxy.ended(1)
      t.match(outcome, { end: 'aborted', error: null })
      await eventually(() => upstream.connections.open === 0, 'the upstream’s connection is closed', 1000)
    })
  }
}

t.test('a client that goes away behind a pipelined request ends that one too', async t => {
  const { upstream, proxy, ask } = await setUp(t)
  const connection = await ask('/__fault/hang')
  void connection.send('GET /__fault/hang HTTP/1.1\r\nHost: gw.test\r\n\r\n')
  await eventually(() => upstream.received.length === 2, 'the upstream has both requests')

  connection.reset()

  t.match(await proxy.ended(2), [{ end: 'aborted' }, { end: 'aborted' }])
  await eventually(() => upstream.connections.open === 0, 'the upstream’s connections are closed', 1000)
})

t.test('a thousand aborted requests leave nothing behind (G19)', async t => {
  const { upstream, proxy, ask } = await setUp(t)
  const kinds = Object.values(ABORTS)

  for (let round = 0; round < 20; round++) {
    const connections = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const { target, lines, method, body } = kinds[i % kinds.length] as (typeof kinds)[number]
        const connection = await ask(target, lines, method, body)
        connection.pause()
        return connection
      })
    )
    await eventually(() => upstream.received.length === (round + 1) * 50, 'the upstream has the requests')
    for (const connection of connections) connection.reset()
  }

  await proxy.ended(1000)
  await eventually(() => upstream.connections.open === 0, 'no connection to the upstream is left')
  await eventually(async () => (await proxy.openConnections()) === 0, 'no connection of a client is left')
  const connection = await ask('/x')
  t.equal((await connection.answer()).status, 200)
})

t.test('a burst of small chunks is no slow client: what follows it arrives, however long it takes', async t => {
  const { upstream, ask } = await setUp(t, { upstream: { idleTimeoutMs: 100 } })
  const warnings: string[] = []
  const onWarning = ({ name }: Error) => warnings.push(name)
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  const small = `400\r\n${'x'.repeat(1024)}\r\n`
  upstream.respond = ({ socket }) => {
    socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${small.repeat(60)}`)
    let sent = 0
    const steady = setInterval(() => {
      sent++
      socket.write(sent < 20 ? '1\r\ny\r\n' : '0\r\n\r\n')
      if (sent === 20) clearInterval(steady)
    }, 50)
  }

  const connection = await ask('/x')
  const { status, body } = await connection.answer()

  t.equal(status, 200)
  t.equal(body.length, 60 * 1024 + 19)
  t.strictSame(warnings, [])
})
