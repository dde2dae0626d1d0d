/** Connections held open by saying next to nothing (Slowloris): nobody keeps one without a complete request on it. */
import { connect, type Socket } from 'node:net'
import t from 'tap'
import { refused, startAttack } from '../support/attack.js'

const { gateway, send, user } = await startAttack(t, { redis: false })
const TRICKLE_MS = 500
/** Ten seconds for a header section, looked at once a second; the rest is for a busy machine. */
const DEADLINE_MS = 30_000

/** All that came back until the gateway closed the connection. */
function untilClosed(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const late = setTimeout(() => {
      socket.destroy()
      reject(new Error('still open'))
    }, DEADLINE_MS)
    socket.on('data', chunk => (answer += chunk)).on('error', () => {})
    socket.on('close', () => {
      clearTimeout(late)
      resolve(answer)
    })
  })
}

t.test('who does not finish a header section is cut off, however busy it looks', async t => {
  const slow = {
    'nothing at all': '',
    'half a request line': 'GET /api',
    'a line without an end': `GET /api/a/x HTTP/1.1\r\nHost: gw.test\r\n${user.cookieLine}`,
    'lines without an end': 'GET /public/x HTTP/1.1\r\nHost: gw.test\r\n'
  }
  const endings = Object.entries(slow).map(async ([name, bytes]) => {
    const socket = connect(gateway.port, '127.0.0.1')
    const more = name.startsWith('line') ? 'X: y\r\n' : 'x'
    if (bytes !== '') socket.write(bytes)
    const trickle = setInterval(() => bytes !== '' && socket.write(more), TRICKLE_MS)
    const answer = await untilClosed(socket)
    clearInterval(trickle)
    return { name, status: answer.split('\r\n')[0], code: /"code":"(\w+)"/.exec(answer)?.[1] }
  })
  const meanwhile = send('GET /api/a/x', [user.cookieLine])

  t.equal((await meanwhile).status, 200, 'others are served')
  for (const { name, status, code } of await Promise.all(endings)) {
    t.strictSame([status, code], ['HTTP/1.1 408 Request Timeout', 'BAD_REQUEST'], name)
  }
  t.equal(gateway.upstream.received.length, 1, 'and none of them was forwarded')
  refused(t, await send('GET /api/a/x'), 401, 'AUTHENTICATION_REQUIRED', 'afterwards it works as before')
})
