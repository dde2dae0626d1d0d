/** The last check before bytes leave: nothing of a request can become another request. */
import t from 'tap'
import { fieldLine } from '../../../src/upstream/field-lines.js'
import { requestHead } from '../../../src/upstream/request-head.js'

const head = { method: 'GET', path: '/orders?x=1', fields: 'a: 1\r\nb: \xe9\r\n', hasLength: false, switches: false }

t.test('a head is a request line, Host, Connection and the headers as they are', async t => {
  t.equal(
    requestHead('orders:8000', head, null),
    'GET /orders?x=1 HTTP/1.1\r\nhost: orders:8000\r\nconnection: keep-alive\r\na: 1\r\nb: \xe9\r\n\r\n'
  )
  t.match(requestHead('o', { ...head, switches: true }, null), /\r\nconnection: upgrade\r\nupgrade: websocket\r\n/)
})

function framing(method: string, fields: string, body: 'announced' | 'unknown' | null): RegExpMatchArray | null {
  const hasLength = fields !== ''
  return requestHead('o', { ...head, method, fields, hasLength }, body).match(/^(content-length|transfer-encoding): .*$/gim)
}

t.test('a body has one length and no more (RFC 9112 section 6.3)', async t => {
  t.strictSame(framing('POST', 'Content-Length: 5\r\n', 'announced'), ['Content-Length: 5'])
  t.strictSame(framing('POST', 'content-length: 0\r\n', null), ['content-length: 0'])
  t.strictSame(framing('POST', '', 'unknown'), ['transfer-encoding: chunked'])
  t.strictSame(framing('PATCH', '', null), ['content-length: 0'])
  t.equal(framing('GET', '', null), null)
})

t.test('what could end a line early is never sent (CVE-2018-12116, CWE-113)', async t => {
  for (const bad of ['a\r\nx-user-id: evil', 'a\nb', 'a\rb', 'a\0b', 'a\u010ab', 'a\u{1f40d}b', 'a\x7fb']) {
    t.throws(() => fieldLine('a', bad), { code: 'INTERNAL_ERROR' }, bad)
    t.throws(() => requestHead('o', { ...head, path: `/${bad}` }, null), { code: 'INTERNAL_ERROR' }, bad)
  }
  t.throws(() => requestHead('o', { ...head, path: '/a b' }, null), { code: 'INTERNAL_ERROR' })
})
