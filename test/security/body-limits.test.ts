/**
 * maxBody through the whole gateway: each upstream has its own, strangers learn nothing of it, and the answer is the
 * contract's (G11).
 */
import t from 'tap'
import { refused, startAttack } from '../support/attack.js'
import { eventually } from '../support/eventually.js'

const { gateway, send, user } = await startAttack(t, {
  redis: false,
  yaml: `
upstreams:
  small: { targets: [$UPSTREAM], maxBody: 10b }
  large: { targets: [$UPSTREAM], maxBody: 1mb }
  any: { targets: [$UPSTREAM] }
routes:
  - { name: small, path: /small/*, upstream: small, access: session }
  - { name: large, path: /large/*, upstream: large, access: session }
  - { name: any, path: /any/*, upstream: any, access: session }
`
})
const { upstream } = gateway
const signedIn = [user.cookieLine, `Origin: ${gateway.origin}`]
const MIB = 1024 * 1024

const counted = (path: string, bytes: number, lines = signedIn) =>
  send(`POST ${path}`, [...lines, `Content-Length: ${bytes}`], 'x'.repeat(bytes))

const chunked = (path: string, bytes: number) =>
  send(
    `POST ${path}`,
    [...signedIn, 'Transfer-Encoding: chunked'],
    `${bytes.toString(16)}\r\n${'x'.repeat(bytes)}\r\n0\r\n\r\n`
  )

t.test('a body of the limit passes, a byte more does not, by the limit of its upstream', async t => {
  const limits = [
    ['/small/x', 10],
    ['/large/x', MIB]
  ] as const
  for (const [path, limit] of limits) {
    t.equal((await counted(path, limit)).status, 200, path)
    t.equal((await chunked(path, limit)).status, 200, path)
    const announced = await counted(path, limit + 1)
    refused(t, announced, 413, 'BODY_TOO_LARGE', path)
    t.match(announced.answer.header('connection'), /^close$/i)
    t.strictSame([(await chunked(path, limit + 1)).status], [413], `${path} in chunks`)
  }
  t.equal((await counted('/any/x', 3 * MIB)).status, 200, 'none without a limit')
  await eventually(() => upstream.received.every(({ state }) => state !== 'reading'), 'no half request is left')
  t.ok(
    upstream.received.filter(({ url }) => url === '/small/x').every(({ bodyLength }) => bodyLength <= 10),
    'not a byte more than allowed has arrived'
  )
})

t.test('who may not send at all is told that, whatever the size', async t => {
  refused(t, await counted('/small/x', 11, []), 401, 'AUTHENTICATION_REQUIRED')
  refused(t, await counted('/small/x', 11, [user.cookieLine]), 403, 'ORIGIN_NOT_ALLOWED')
})
