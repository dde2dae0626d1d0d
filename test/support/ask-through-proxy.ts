/**
 * A process of its own that sends two requests through the proxy to each origin of its command line and prints
 * `[[status, status, reason], …]`: trusted authorities (NODE_EXTRA_CA_CERTS) are read when a process starts.
 */
import { startProxy } from './proxy.js'
import { exchange } from './raw-http.js'

const REQUEST = 'GET /x HTTP/1.1\r\nHost: gw.test\r\n\r\n'
const closing: (() => unknown)[] = []
const scope = { teardown: (fn: () => unknown) => closing.push(fn) }

const answers = []
for (const origin of process.argv.slice(2)) {
  const { port, outcomes } = await startProxy(scope, origin)
  // Twice: a failure must not leave a connection behind that the next request waits on.
  const [first] = await exchange(port, REQUEST)
  const [second] = await exchange(port, REQUEST)
  answers.push([first.status, second.status, outcomes[0]?.error?.reason ?? null])
}
console.log(JSON.stringify(answers))
for (const close of closing) await close()
