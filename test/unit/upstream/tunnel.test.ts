/** What the tunnel itself says and does when it is told to end; on real sockets. */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import t from 'tap'
import { Tunnel } from '../../../src/upstream/tunnel.js'
import { eventually } from '../../support/eventually.js'
import { RawConnection } from '../../support/raw-http.js'
import { CLOSE, type Frame, FrameParser, frame } from '../../support/websocket-frames.js'

interface Ends {
  readonly tunnel: Tunnel
  /** The far ends. */
  readonly client: RawConnection
  readonly upstream: RawConnection
  readonly nearUpstream: Socket
  readonly ended: () => boolean
}

async function aTunnel(t: Tap, stallMs = 10_000): Promise<Ends> {
  const server = createServer({ allowHalfOpen: true })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const connect = async () => {
    const accepted = once(server, 'connection') as Promise<[Socket]>
    const far = await RawConnection.open(port)
    return { far, near: (await accepted)[0] }
  }
  const client = await connect()
  const upstream = await connect()
  let ended = false
  const tunnel = new Tunnel({
    client: client.near,
    upstream: upstream.near,
    head: Buffer.alloc(0),
    stallMs,
    onEnd: () => {
      ended = true
    }
  })
  return { tunnel, client: client.far, upstream: upstream.far, nearUpstream: upstream.near, ended: () => ended }
}

interface Tap {
  teardown: (fn: () => unknown) => unknown
}

const bytesOf = ({ unread }: RawConnection) => Buffer.from(unread, 'latin1')
const framesOf = (end: RawConnection): Frame[] => new FrameParser().push(bytesOf(end))
const codeOf = (last: Frame | undefined) => (last?.opcode === CLOSE ? last.data.readUInt16BE(0) : null)

t.test('between two frames the close frame goes out at once', async t => {
  const { tunnel, client, upstream, ended } = await aTunnel(t)
  await upstream.send(frame('one'))
  await client.received(5)
  tunnel.end(4401, 'INVALID_SESSION')
  tunnel.end(1001, 'DRAINING')
  t.equal(await client.closed(), 'end')
  const [one, last, ...more] = framesOf(client)
  t.equal(one?.data.toString(), 'one')
  t.equal(codeOf(last), 4401)
  t.equal(last?.data.toString('utf8', 2), 'INVALID_SESSION')
  t.equal(more.length, 0, 'one goodbye')
  await upstream.closed()
  client.end()
  await eventually(ended, 'it is over')
})

t.test('a frame under way is brought to its end first, and not a byte more', async t => {
  const { tunnel, client, upstream } = await aTunnel(t)
  const whole = frame(Buffer.alloc(1000, 'x'))
  await upstream.send(whole.subarray(0, 600))
  await client.received(600)
  tunnel.end(4401, 'INVALID_SESSION')
  await upstream.send(Buffer.concat([whole.subarray(600), frame('too late')]))
  await client.closed()
  const frames = framesOf(client)
  t.equal(frames.length, 2)
  t.ok(frames[0]?.raw.equals(whole))
  t.equal(codeOf(frames[1]), 4401)
})

t.test('a frame that does not go on is cut', async t => {
  const { tunnel, client, upstream, ended } = await aTunnel(t)
  await upstream.send(frame(Buffer.alloc(1000, 'x')).subarray(0, 600))
  await client.received(600)
  tunnel.end(4401, 'INVALID_SESSION')
  await client.closed()
  t.equal(bytesOf(client).length, 600, 'nothing is put into the midst of it')
  client.end()
  await eventually(ended, 'it is over')
})

t.test('from then on nothing of the client’s passes', async t => {
  const { tunnel, client, upstream } = await aTunnel(t)
  await client.send('before')
  await upstream.received(6)
  await upstream.send(frame('x').subarray(0, 1))
  await client.received(1)
  tunnel.end(4401, 'INVALID_SESSION')
  await client.send('after')
  await upstream.closed()
  t.equal(bytesOf(upstream).toString(), 'before')
})

t.test('after the upstream’s own close frame there is nothing to add', async t => {
  const { tunnel, client, upstream } = await aTunnel(t)
  await upstream.send(frame(Buffer.from([0x03, 0xe8]), CLOSE))
  await client.received(4)
  tunnel.end(4401, 'INVALID_SESSION')
  await client.closed()
  t.equal(bytesOf(client).length, 4)
})

t.test('who takes nothing is cut, however steadily he sends', async t => {
  const { client, upstream, nearUpstream, ended } = await aTunnel(t, 500)
  client.pause()
  void upstream.send(Buffer.alloc(32 * 1024 * 1024))
  // As where what he sends waits for room, and gets it, again and again: kernels differ in how often that is.
  const flowing = setInterval(() => nearUpstream.emit('drain'), 10)
  t.teardown(() => clearInterval(flowing))
  await eventually(ended, 'it is over')
  client.destroy()
  upstream.destroy()
})

t.test('one that only listens is closed all the same', async t => {
  const { tunnel, client, ended } = await aTunnel(t)
  tunnel.end(1001, 'DRAINING')
  t.equal(await client.closed(), 'end')
  // It never answers and never closes.
  await eventually(ended, 'it is over')
  client.destroy()
})
