/** No content type makes the gateway read a body that is for the upstream, or fail at it (G14, G15). */
import { createHash } from 'node:crypto'
import t from 'tap'
import { startAttack } from '../support/attack.js'

const { gateway, send, user } = await startAttack(t, { redis: false })
const signedIn = [user.cookieLine, `Origin: ${gateway.origin}`]

t.test('odd, broken and missing content types pass as they are, and so do their bodies (CVE-2026-25223)', async t => {
  const types = [
    'application/json',
    'application/json\ta',
    'application/json garbage',
    'application/json; charset=utf-7',
    'application/json,text/plain',
    'multipart/form-data',
    'multipart/form-data; boundary=',
    'application/x-www-form-urlencoded',
    'text/plain; charset="\xe9"',
    'x',
    '/',
    ';',
    'application/vnd.api+json'
  ]
  const bodies = ['{ "a": 1.0, "b":"\xc3\xa9" , "a":2}', '{', '\x00\xff\xfe', '--x\r\n\r\n', '{"__proto__":{"x":1}}']
  for (const type of types) {
    for (const body of bodies) {
      const lines = [...signedIn, `Content-Type: ${type}`, `Content-Length: ${body.length}`]
      const { status, reached } = await send('POST /api/a/x', lines, body)
      const bodySha = createHash('sha256').update(Buffer.from(body, 'latin1')).digest('hex')

      t.equal(status, 200, type)
      t.match(reached, [{ bodySha, headers: { 'content-type': type, 'content-length': String(body.length) } }], type)
    }
  }
  const { reached } = await send('POST /api/a/x', [...signedIn, 'Content-Length: 1'], '{')
  t.match(reached, [{ bodyLength: 1, headers: { 'content-type': undefined } }], 'none at all')
})

t.test('a coded body is not decoded, and what the client accepts is not narrowed (G28)', async t => {
  const lines = [...signedIn, 'Content-Encoding: br', 'Accept-Encoding: zstd, br;q=0.1', 'Content-Length: 4']
  const { reached } = await send('PUT /api/a/x', lines, '\x0b\x02\x80\xff')

  t.match(reached, [
    { bodyLength: 4, headers: { 'content-encoding': 'br', 'accept-encoding': 'zstd, br;q=0.1', 'content-length': '4' } }
  ])
})
