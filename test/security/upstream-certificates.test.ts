/** `tls` of an upstream: an authority of its own, and a certificate of ours for upstreams that demand one (issue 4). */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { examineUpstreams } from '../../src/cli/doctor-upstreams.js'
import { loadConfig } from '../../src/config/load-config.js'
import type { UpstreamTls } from '../../src/config/upstream-tls.js'
import { checkRoutes } from '../../src/routes/route-rules.js'
import { createCertificate } from '../support/certificate.js'
import { eventually } from '../support/eventually.js'
import { get, startGateway } from '../support/gateway.js'
import { startProxy } from '../support/proxy.js'
import { exchange } from '../support/raw-http.js'
import { startUpstream } from '../support/upstream.js'
import { dial } from '../support/websocket.js'
import { startSocketServer } from '../support/websocket-server.js'

const authority = createCertificate({ name: 'private authority', isAuthority: true })
const stranger = createCertificate({ name: 'another authority', isAuthority: true })
const server = createCertificate({ name: '127.0.0.1', signedBy: authority })
const ours = createCertificate({ name: 'gateway', signedBy: authority })
const theirs = createCertificate({ name: 'gateway', signedBy: stranger })

const demanding = { key: server.key, cert: server.cert, ca: authority.cert, requestCert: true }
const shown = { ca: authority.cert, cert: ours.cert, key: ours.key }
/** TLS 1.3: the connection stands before the server has seen a certificate; Node's then leaves without a word. */
const LEFT = /^(connection_closed|econnreset|epipe)$/
const REQUEST = 'GET /x HTTP/1.1\r\nHost: gw.test\r\n\r\n'

async function ask(t: Test, tls: UpstreamTls | null, upstream = {}) {
  const target = await startUpstream(t, { tls: demanding })
  const proxy = await startProxy(t, target.origin, { upstream: { tls, ...upstream } })
  const [answer] = await exchange(proxy.port, REQUEST)
  return { proxy, target, answer }
}

t.test('an upstream that demands a certificate is shown ours, by calls and by checks', async t => {
  const health = { path: '/well', intervalMs: 20 }
  const { proxy, target, answer } = await ask(t, shown, { health })

  t.equal(answer.status, 200)
  await eventually(() => target.received.filter(({ url }) => url === '/well').length > 2, 'checks arrive')
  t.strictSame(proxy.changes, [])
})

t.test('without a certificate, with one of another authority, or for another one than asked for: 502', async t => {
  for (const [tls, reason] of [
    [{ ...shown, cert: undefined, key: undefined }, LEFT],
    [{ ...shown, cert: theirs.cert, key: theirs.key }, LEFT],
    [{ ...shown, ca: stranger.cert }, /self_signed_cert_in_chain/],
    [null, /self_signed_cert_in_chain/]
  ] as const) {
    const { proxy, target, answer } = await ask(t, tls)

    t.equal(answer.status, 502)
    t.equal(answer.body.toString(), '{"code":"UPSTREAM_UNREACHABLE"}')
    t.match(proxy.outcomes[0]?.error, { code: 'UPSTREAM_UNREACHABLE', reason })
    t.equal(target.received.length, 0)
  }
})

t.test('a private authority takes the place of those the system trusts', async t => {
  const target = await startUpstream(t, { tls: createCertificate({ name: '127.0.0.9', signedBy: authority }) })
  const proxy = await startProxy(t, target.origin, { upstream: { tls: { ...shown, cert: undefined, key: undefined } } })

  const [answer] = await exchange(proxy.port, REQUEST)

  t.equal(answer.status, 502, 'the name still counts')
  t.match(proxy.outcomes[0]?.error, { reason: 'err_tls_cert_altname_invalid' })
})

const FILES = {
  'ca.pem': `${stranger.cert}${authority.cert}`,
  'cert.pem': ours.cert,
  'key.pem': ours.key,
  'other.pem': theirs.key,
  'text.pem': 'secret-text',
  'torn.pem': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
}
const GOOD = '{ ca: ca.pem, cert: cert.pem, key: key.pem }'

function source(t: Test, tls: string, target = 'https://a') {
  const yaml = `upstreams:\n  a: { targets: ['${target}'], tls: ${tls} }\nroutes: []\n`
  const folder = t.testdir({ ...FILES, 'gateway.yaml': yaml })
  return { folder, load: () => loadConfig({ GATEWAY_CONFIG: join(folder, 'gateway.yaml') }, checkRoutes) }
}

t.test('files that are not there, say nothing or do not fit are configuration errors, with their place', async t => {
  for (const [tls, problem, target] of [
    ['{ ca: none.pem }', /:2:\d+ upstreams\.a\.tls\.ca: names a file that cannot be read \(ENOENT\)$/],
    ['{ ca: text.pem }', /tls\.ca: names a file without a certificate in PEM$/],
    ['{ ca: torn.pem }', /tls\.ca: names a file with a certificate that cannot be read$/],
    ['{ cert: cert.pem, key: text.pem }', /tls\.key: names a file without a private key in PEM/],
    ['{ cert: cert.pem, key: other.pem }', /tls\.key: is not the key of this cert$/],
    ['{ ca: ca.pem, cert: cert.pem }', /tls: needs a ca, or cert and key, or all three$/],
    ['{}', /tls: needs a ca/],
    ['{ ca: ca.pem, verify: false }', /tls\.verify: is not a key/],
    [GOOD, /tls: is for targets that are all https$/, 'http://a']
  ] as const) {
    try {
      source(t, tls, target).load()
      t.fail(tls)
    } catch (error) {
      const { problems } = error as { problems: { place: string; message: string }[] }
      t.equal(problems.length, 1, tls)
      t.match(`${problems[0]?.place}: ${problems[0]?.message}`, problem)
      t.notMatch(JSON.stringify(problems), /secret-text|PRIVATE KEY/)
    }
  }
})

t.test('what the files hold is read once, and again by a reload', async t => {
  const { folder, load } = source(t, GOOD)
  const [before] = load().gateway?.upstreams ?? []
  writeFileSync(join(folder, 'cert.pem'), theirs.cert)
  writeFileSync(join(folder, 'key.pem'), theirs.key)
  const [after] = load().gateway?.upstreams ?? []

  t.match(before, { tls: { cert: ours.cert, key: ours.key } })
  t.match(after, { tls: { cert: theirs.cert, key: theirs.key } })
})

t.test('the doctor connects as calls do', async t => {
  const target = await startUpstream(t, { tls: demanding })
  const asWritten = (tls: string) => {
    const { load } = source(t, `${tls}, health: { path: /well }`, target.origin)
    return examineUpstreams(load().gateway?.upstreams ?? [])
  }

  t.match(await asWritten(GOOD), [{ level: 'ok', message: /answers 200 to GET \/well$/ }])
  t.match(await asWritten('{ ca: ca.pem }'), [{ level: 'fail', message: /does not answer GET \/well/ }])
})

t.test('a whole gateway: calls and WebSockets, a renewed certificate, and no key in its log', async t => {
  const folder = t.testdir(FILES)
  const chat = await startSocketServer(t, { tls: demanding })
  const gateway = await startGateway(t, {
    redis: false,
    yaml: `
upstreams:
  chat: { targets: ['${chat.origin}'], tls: { ca: ${folder}/ca.pem, cert: ${folder}/cert.pem, key: ${folder}/key.pem } }
  bare: { targets: ['${chat.origin}'], tls: { ca: ${folder}/ca.pem } }
routes:
  - { name: chat, path: /chat, upstream: chat, access: public }
  - { name: bare, path: /bare, upstream: bare, access: public }
`
  })
  const socket = dial(gateway.port, '/chat')
  t.equal((await socket.answer)?.status, 101)
  socket.send('echo')
  t.equal((await socket.next()).data.toString(), 'echo')
  socket.socket.destroy()
  t.equal((await dial(gateway.port, '/bare').answer)?.status, 502)
  t.equal(chat.requests.length, 1)

  const reload = () => {
    const { gateway: file } = loadConfig({ GATEWAY_CONFIG: gateway.yamlFile }, checkRoutes)
    if (file !== null) gateway.app.reload(file)
  }
  writeFileSync(join(folder, 'cert.pem'), theirs.cert)
  writeFileSync(join(folder, 'key.pem'), theirs.key)
  t.equal((await get(gateway, '/chat')).status, 200, 'until the reload')
  reload()
  t.equal((await get(gateway, '/chat')).status, 502)
  rmSync(join(folder, 'key.pem'))
  t.throws(reload, { name: 'ConfigError' })
  writeFileSync(join(folder, 'cert.pem'), ours.cert)
  writeFileSync(join(folder, 'key.pem'), ours.key)
  reload()
  t.equal((await get(gateway, '/chat')).status, 200)
  const log = JSON.stringify(gateway.log)
  for (const { key } of [ours, theirs]) t.notOk(log.includes(key.split('\n')[1] as string))
})
