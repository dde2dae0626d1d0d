/** The ear for NOTIFY and a server that lets it connect and then says nothing more. */
import { type AddressInfo, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { Listener } from '../../../src/data/listener.js'
import { createListenClient } from '../../../src/data/postgres.js'
import { eventually } from '../../support/eventually.js'

/** AuthenticationOk and ReadyForQuery of the protocol, version 3. */
const WELCOME = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49])

async function aSilentServer(t: Test) {
  const sockets = new Set<Socket>()
  const asked = new Set<Socket>()
  let connections = 0
  const server = createServer(socket => {
    connections++
    sockets.add(socket)
    socket.once('data', () => {
      socket.write(WELCOME)
      socket.on('data', () => asked.add(socket))
    })
    socket.on('error', () => {})
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const { port } = server.address() as AddressInfo
  return { url: `postgres://a@127.0.0.1:${port}/a`, asked, connections: () => connections }
}

t.test('a server that never answers LISTEN is left for a new connection, and does not hold up the end', async t => {
  const { url, asked, connections } = await aSilentServer(t)
  const states: string[] = []
  const listener = new Listener({
    connect: () => createListenClient(url),
    notify: async () => {},
    channels: ['words'],
    onMessage: () => {},
    onChange: state => states.push(state)
  })
  listener.start()
  await eventually(() => asked.size >= 1 && connections() >= 2, 'it tries again')
  t.strictSame(states, ['away'])

  await eventually(() => asked.size >= 2, 'it waits for an answer')
  let isOver = false
  void listener.stop().then(() => {
    isOver = true
  })
  await eventually(() => isOver, 'it ends', 2_000)
  t.strictSame(states, ['away'], 'and tells nobody of its own end')
})
