/**
 * A deployment while many sockets stand idle: each is told, and the process is gone in time (H13). SOCKETS=5000 for
 * more.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { eventually } from '../support/eventually.js'
import { migratedPostgres, SECRET } from '../support/gateway.js'
import { isUp, spawnGateway } from '../support/process.js'
import { emptyFolder } from '../support/scratch.js'
import { startSocketServer } from '../support/websocket-server.js'
import { openSocket, type TestSocket } from '../support/websocket.js'

const SOCKETS = Number(process.env['SOCKETS'] ?? 1000)
const AT_ONCE = 100
t.test(`SIGTERM says 1001 to ${SOCKETS} idle sockets, and the process ends of itself`, async t => {
  const server = await startSocketServer(t)
  const folder = await emptyFolder(t)
  const routes = '[{ name: ws, path: /ws/*, upstream: chat, access: public }]'
  await writeFile(
    join(folder, 'gateway.yaml'),
    `upstreams: { chat: { targets: ['${server.origin}'] } }\nroutes: ${routes}`
  )
  const { url: DATABASE_URL } = await migratedPostgres(t)
  const gateway = await spawnGateway(t, folder, { DATABASE_URL, BETTER_AUTH_SECRET: SECRET })
  await isUp(gateway)
  const sockets: TestSocket[] = []
  while (sockets.length < SOCKETS) {
    sockets.push(...(await Promise.all(Array.from({ length: AT_ONCE }, () => openSocket(gateway.port, '/ws/idle')))))
  }
  t.equal(server.open.size, SOCKETS)

  const before = performance.now()
  gateway.signal('SIGTERM')
  const ends = await Promise.all(sockets.map(({ closed }) => closed))
  t.equal(await gateway.ended, 0)

  t.strictSame([...new Set(ends.map(({ code }) => code))], [1001], 'nobody had to be cut off')
  t.comment(`${Math.round(performance.now() - before)} ms`)
  await eventually(() => server.open.size === 0, 'the upstream has seen them all end')
  t.equal(gateway.stderr(), '')
})
