/**
 * A process of its own that opens a WebSocket through a gateway to each origin of its command line and prints what came
 * of it, `["echo", "502 UPSTREAM_UNREACHABLE", …]`: trusted authorities (NODE_EXTRA_CA_CERTS) are read at the start.
 */
import { startGateway } from './gateway.js'
import { dial } from './websocket.js'

const closing: (() => unknown)[] = []
const scope = { teardown: (fn: () => unknown) => closing.unshift(fn) }
const origins = process.argv.slice(2)
const { port } = await startGateway(scope, {
  redis: false,
  yaml: `
upstreams: { ${origins.map((origin, i) => `u${i}: { targets: ['${origin}'] }`).join(', ')} }
routes: [${origins.map((_, i) => `{ name: r${i}, path: /u${i}, upstream: u${i}, access: public }`).join(', ')}]
`
})
const outcomes: string[] = []
for (const i of origins.keys()) {
  const socket = dial(port, `/u${i}`)
  const answer = await socket.answer
  if (answer?.status === 101) {
    socket.send('echo')
    outcomes.push((await socket.next()).data.toString())
    socket.socket.destroy()
  } else {
    await socket.closed
    outcomes.push(`${answer?.status} ${(JSON.parse(socket.body) as { code: string }).code}`)
  }
}
console.log(JSON.stringify(outcomes))
for (const close of closing) await close()
