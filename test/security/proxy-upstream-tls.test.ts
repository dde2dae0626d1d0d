/** A TLS upstream that cannot prove its name gets nothing to read (G36, CVE-2026-107318, OWASP ASVS 12.3.2). */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { createCertificate } from '../support/certificate.js'
import { startProxy } from '../support/proxy.js'
import { exchange } from '../support/raw-http.js'
import { startUpstream } from '../support/upstream.js'

const REQUEST = 'GET /x HTTP/1.1\r\nHost: gw.test\r\n\r\n'

t.test('a self-signed certificate is refused before the request is sent', async t => {
  const upstream = await startUpstream(t, { tls: createCertificate({ name: '127.0.0.1' }) })
  const proxy = await startProxy(t, upstream.origin)

  const [answer] = await exchange(proxy.port, REQUEST)

  t.equal(answer.status, 502)
  t.match(proxy.outcomes[0]?.error, { code: 'UPSTREAM_UNREACHABLE', reason: 'depth_zero_self_signed_cert' })
  t.equal(upstream.received.length, 0)
})

t.test('NODE_TLS_REJECT_UNAUTHORIZED=0 opens no door', async t => {
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  t.teardown(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED)
  const upstream = await startUpstream(t, { tls: createCertificate({ name: '127.0.0.1' }) })
  const proxy = await startProxy(t, upstream.origin)

  const [answer] = await exchange(proxy.port, REQUEST)

  t.equal(answer.status, 502)
  t.equal(upstream.received.length, 0)
})

t.test('a known authority is believed for the right name and the right time only', async t => {
  const authority = createCertificate({ name: 'test authority', isAuthority: true })
  const past = new Date(Date.now() - 60_000)
  const good = await startUpstream(t, { tls: createCertificate({ name: '127.0.0.1', signedBy: authority }) })
  const other = await startUpstream(t, { tls: createCertificate({ name: '127.0.0.9', signedBy: authority }) })
  const expired = await startUpstream(t, {
    tls: createCertificate({ name: '127.0.0.1', signedBy: authority, expiresAt: past })
  })
  const file = join(t.testdir(), 'authority.pem')
  writeFileSync(file, authority.cert)

  const script = fileURLToPath(import.meta.resolve('../support/ask-through-proxy.js'))
  const origins = [good, other, expired].map(({ origin }) => origin)
  const { stdout } = await promisify(execFile)(process.execPath, ['--import=tsx', script, ...origins], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: file }
  })

  t.strictSame(JSON.parse(stdout), [
    [200, 200, null],
    [502, 502, 'err_tls_cert_altname_invalid'],
    [502, 502, 'cert_has_expired']
  ])
  t.strictSame(
    [good, other, expired].map(({ received }) => received.length),
    [2, 0, 0]
  )
})
