/**
 * Large bodies through the gateway as a process of its own, and what they cost in memory (G13). 256 MiB each way, four
 * times what may be added; LARGE_BODY_MIB=1024 for the gibibyte. Longer bodies cost no more: 4 GiB added 61 MiB.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { drink, pour, request, startBulkUpstream } from '../support/bulk.js'
import { eventually } from '../support/eventually.js'
import { migratedPostgres, SECRET } from '../support/gateway.js'
import { isUp, spawnGateway } from '../support/process.js'
import { emptyFolder } from '../support/scratch.js'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const LARGE = Number(process.env['LARGE_BODY_MIB'] ?? 256) * MIB
const MOST_GROWTH = 64 * MIB

const upstream = await startBulkUpstream(t)
const folder = await emptyFolder(t)
await writeFile(
  join(folder, 'gateway.yaml'),
  `
upstreams:
  bulk: { targets: ['${upstream.origin}'] }
routes:
  - { name: open, path: /open/*, upstream: bulk, access: public }
`
)
const { url: DATABASE_URL } = await migratedPostgres(t)
const gateway = await spawnGateway(t, folder, { DATABASE_URL, BETTER_AUTH_SECRET: SECRET })
await isUp(gateway)

async function residentBytes(): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${gateway.opsPort}/metrics`)).text()
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1])
}

/** The most the process grew by from the moment before this began, in bytes. */
async function growthDuring(work: () => Promise<unknown>): Promise<number> {
  const before = await residentBytes()
  const seen: number[] = []
  const ended = work().then(() => true)
  while (!(await Promise.race([ended, sleep(25, false)]))) seen.push(await residentBytes())
  return Math.max(...seen, await residentBytes()) - before
}

async function download(bytes: number): Promise<number> {
  return drink(request(gateway.port, [`GET /open/${bytes} HTTP/1.1`]))
}

/** Resolves with the length of the upstream's answer, which comes when it has counted all of them. */
async function upload(bytes: number): Promise<number> {
  const socket = request(gateway.port, ['POST /open/x HTTP/1.1', `Content-Length: ${bytes}`])
  pour(socket, bytes)
  return drink(socket)
}

function bounded(t: Test, growth: number, what: string): void {
  t.comment(`${what}: ${(growth / MIB).toFixed(1)} MiB more`)
  t.ok(growth < MOST_GROWTH, `${what}: ${growth} bytes`)
}

t.test(`${LARGE / MIB} MiB down and as many up in less than 64 MiB more of memory (G13)`, async t => {
  // V8 lets some 60 MiB of used buffers gather before it looks for them the first time; from then on it has them.
  await download(128 * MIB)
  let received: number[] = []
  const both = async () => {
    received = await Promise.all([download(LARGE), upload(LARGE)])
  }

  bounded(t, await growthDuring(both), 'both at once')
  t.strictSame(received, [LARGE, String(LARGE).length])
})

/** Until a number has stood still for a while. */
async function settled(value: () => number): Promise<void> {
  let [last, still] = [-1, 0]
  await eventually(() => {
    still = value() === last ? still + 1 : 0
    last = value()
    return still > 40
  }, 'the number stands still')
}

t.test('a client that does not read stops the upstream, not at the cost of our memory (G13)', async t => {
  const before = upstream.sockets.length
  const client = request(gateway.port, [`GET /open/${GIB} HTTP/1.1`]).pause()
  await eventually(() => upstream.sockets.length > before, 'the upstream has been asked')
  const socket = upstream.sockets[before] as Socket
  const sent = () => socket.bytesWritten

  bounded(t, await growthDuring(() => settled(sent)), 'nobody reads')
  t.ok(sent() < GIB / 2, `${sent() / MIB} MiB were sent`)
  client.destroy()
  await eventually(() => socket.destroyed, 'and the upstream need not go on', 1000)
})

t.test('an upstream that does not read stops the client, not at the cost of our memory', async t => {
  const before = upstream.sockets.length
  const client = request(gateway.port, ['POST /open/stall HTTP/1.1', `Content-Length: ${GIB}`])
  pour(client, GIB)
  const sent = () => client.bytesWritten

  bounded(t, await growthDuring(() => settled(sent)), 'nobody reads')
  t.ok(sent() < GIB / 2, `${sent() / MIB} MiB were sent`)
  client.destroy()
  // Its end stands behind bytes nobody has asked for yet, so it is met when they are.
  upstream.sockets[before]?.resume()
  await eventually(() => upstream.sockets[before]?.destroyed === true, 'the upstream is told', 1000)
})
