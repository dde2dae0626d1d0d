/** A target's name and what it stands for: resolved by the system, with answers of ours put in for it (K23). */
import dns, { type LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { eventually } from '../../support/eventually.js'
import { startProxy } from '../../support/proxy.js'

/** Answers with its own address. */
async function startServer(t: Test, address: string, port = 0): Promise<number> {
  const server = createServer((_request, response) => response.end(address)).listen(port, address)
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

/** What `orders.test` resolves to: addresses, or the code of an error. */
function nameServer(t: Test, first: readonly string[] | string) {
  const server = { answer: first, asked: 0 }
  const { lookup } = dns
  const value = (...args: unknown[]): void => {
    if (args[0] !== 'orders.test') return Reflect.apply(lookup, dns, args)
    server.asked++
    const [, , callback] = args as [string, object, (error: Error | null, found?: LookupAddress[]) => void]
    const { answer } = server
    if (typeof answer === 'string') return callback(Object.assign(new Error(answer), { code: answer }))
    const found = answer.map(address => ({ address, family: 4 }))
    callback(null, found)
  }
  t.intercept(dns, 'lookup', { value })
  return server
}

async function ask(port: number, path = '/x'): Promise<string> {
  const [answer] = await once(request({ port, host: '127.0.0.1', path, agent: false }).end(), 'response')
  const [body] = await Promise.all([answer.setEncoding('utf8').toArray(), once(answer, 'end')])
  return body.join('')
}

t.test('a name that moves is followed within a minute, without a pause in the calls (K23)', async t => {
  const port = await startServer(t, '127.0.0.1')
  await startServer(t, '127.0.0.2', port)
  const names = nameServer(t, ['127.0.0.1'])
  const proxy = await startProxy(t, `http://orders.test:${port}`)
  t.equal(await ask(proxy.port), '127.0.0.1')

  names.answer = ['127.0.0.2']
  t.equal(await ask(proxy.port), '127.0.0.1', 'the connection is kept')
  t.equal(names.asked, 1)
  const { now } = performance
  t.intercept(performance, 'now', { value: () => now.call(performance) + 60_000 })
  t.equal(await ask(proxy.port), '127.0.0.1', 'a call is never cut off for it')
  t.equal(await ask(proxy.port), '127.0.0.2')
  t.equal(names.asked, 2)
})

t.test('a name server that fails costs new connections a 502, and only as long as it does (K23)', async t => {
  const port = await startServer(t, '127.0.0.1')
  for (const code of ['EAI_AGAIN', 'ENOTFOUND']) {
    const names = nameServer(t, code)
    const proxy = await startProxy(t, `http://orders.test:${port}`)

    t.equal(await ask(proxy.port), '{"code":"UPSTREAM_UNREACHABLE"}')
    t.match(proxy.outcomes[0]?.error, { statusCode: 502, reason: code.toLowerCase() })
    names.answer = ['127.0.0.1']
    t.equal(await ask(proxy.port), '127.0.0.1')
    names.answer = code
    t.equal(await ask(proxy.port), '127.0.0.1', 'what is open needs no name')
  }
})

t.test('of several addresses the next one is tried when the first does not answer', async t => {
  const port = await startServer(t, '127.0.0.1')
  const names = nameServer(t, ['127.0.0.3', '127.0.0.1'])
  const proxy = await startProxy(t, `http://orders.test:${port}`)

  t.equal(await ask(proxy.port), '127.0.0.1')
  t.equal(names.asked, 1)
  t.strictSame(proxy.changes, [])
})

t.test('a name that leads to a metadata service is not followed, by calls or checks (I03, K23)', async t => {
  const port = await startServer(t, '127.0.0.1')
  const names = nameServer(t, ['169.254.169.254'])
  const health = { path: '/well', intervalMs: 20 }
  const proxy = await startProxy(t, `http://orders.test:${port}`, { upstream: { health } })

  t.equal(await ask(proxy.port), '{"code":"UPSTREAM_UNREACHABLE"}')
  t.match(proxy.outcomes[0]?.error, { reason: 'address_not_allowed' })
  await eventually(() => proxy.changes.length === 1, 'the target is out')
  names.answer = ['169.254.169.254', '127.0.0.1']
  t.equal(await ask(proxy.port), '127.0.0.1', 'what else it leads to is')
})
