/**
 * Clients that go away at any moment of a request, through the whole gateway: nothing is left and nothing is wrong
 * (G19).
 */
import t from 'tap'
import { startAttack } from '../support/attack.js'
import { eventually } from '../support/eventually.js'
import { RawConnection } from '../support/raw-http.js'

const ABORTS = 1000
const AT_ONCE = 50

const { gateway, send, user } = await startAttack(t)
const { upstream } = gateway
const head = (request: string, ...lines: string[]) =>
  [
    `${request} HTTP/1.1`,
    `Host: localhost:${gateway.port}`,
    user.cookieLine,
    `Origin: ${gateway.origin}`,
    ...lines,
    '',
    ''
  ].join('\r\n')

/** What is sent, and when its sender goes: at once, when the upstream has it, or when the answer has begun. */
const KINDS: readonly (readonly [bytes: string, goes: 'at once' | 'asked' | 'answered'])[] = [
  ['GET /api/a/x HT', 'at once'],
  [head('GET /api/a/x'), 'at once'],
  [head('GET /api/strict/x'), 'at once'],
  [head('POST /api/strict/x', 'Content-Length: 1000'), 'at once'],
  [head('GET /api/a/x'), 'asked'],
  [head('GET /api/a/__fault/hang'), 'asked'],
  [`${head('POST /api/a/x', 'Content-Length: 1000')}abc`, 'asked'],
  [`${head('POST /api/strict/x', 'Transfer-Encoding: chunked')}3\r\nabc\r\n`, 'asked'],
  [head('GET /api/a/__fault/size/4000000'), 'answered'],
  [head('GET /api/strict/__fault/chunks/100000/10/5'), 'answered'],
  [head('POST /api/auth/sign-out', 'Content-Type: application/json', 'Content-Length: 100'), 'at once']
]

async function goAway(nth: number): Promise<void> {
  const [bytes, goes] = KINDS[nth % KINDS.length] as (typeof KINDS)[number]
  const connection = await RawConnection.open(gateway.port)
  const marked = bytes.replace(' HTTP/1.1', `?${nth} HTTP/1.1`)
  await connection.send(marked)
  if (goes === 'asked')
    await eventually(() => upstream.received.some(({ url }) => url.endsWith(`?${nth}`)), 'it is asked')
  if (goes === 'answered') await connection.received(100)
  if (nth % 3 === 0) connection.destroy()
  else connection.reset()
}

const clients = () =>
  new Promise<number>(resolve => gateway.app.publicListener.server.getConnections((_error, count) => resolve(count)))

t.test(`${ABORTS} of them leave no connection, no error and no place taken`, async t => {
  const before = await clients()
  for (let i = 0; i < ABORTS; i += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, j) => goAway(i + j)))
  }

  await eventually(async () => (await clients()) <= before, 'no connection of a client is left')
  await eventually(() => upstream.received.every(({ state }) => state !== 'reading'), 'no half request is left')
  await eventually(() => {
    upstream.closeIdleConnections()
    return upstream.connections.open === 0
  }, 'no connection to the upstream is still at work')
  t.strictSame(
    gateway.log.filter(({ level }) => Number(level) >= 50),
    [],
    'nothing is an error'
  )
  t.equal((await send('GET /api/strict/x', [user.cookieLine])).status, 200, 'it works as before')
})
