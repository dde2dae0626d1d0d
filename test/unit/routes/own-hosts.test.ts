/** Which hosts a configuration makes the gateway's own (B21). */
import t from 'tap'
import { hostName, ownHosts } from '../../../src/routes/own-hosts.js'

const ENV = {
  authMode: 'hosted',
  baseUrl: 'https://Auth.example.com:8443',
  corsOrigins: ['https://app.example.org'],
  cookieDomain: null
} as const

function taken(env: Parameters<typeof ownHosts>[0], ...hosts: readonly string[]): string[] {
  const answersFor = ownHosts(env, [{ host: 'api.example.net' }, { host: null }])
  return hosts.filter(host => answersFor(hostName(host)))
}

t.test('those somebody named, and no others', async t => {
  const named = ['auth.example.com', 'AUTH.example.com.:8443', 'app.example.org', 'api.example.net:80']
  t.strictSame(taken(ENV, ...named), named)
  const foreign = ['example.com', 'x.auth.example.com', 'auth.example.com.evil.test', 'evil.test', 'localhost.evil.test']
  t.strictSame(taken(ENV, ...foreign), [])
})

t.test('addresses and names that public DNS does not have', async t => {
  const cluster = ['gateway.shop.svc:8080', 'gateway.shop.svc.cluster.local', 'gw.internal']
  const local = [...cluster, 'localhost:8080', 'gateway', 'a.localhost', '10.0.0.1:80', '[::1]:80', '[::ffff:10.0.0.1]']
  t.strictSame(taken(ENV, ...local), local)
  t.strictSame(taken(ENV, '10.0.1', '0x7f.1', '1.2.3.4.5', 'localhost.test', 'x.internal.test', 'notlocal.svc.evil.test'), [])
})

t.test('all of the domain that shares its cookie, with or without the dot', async t => {
  for (const cookieDomain of ['example.com', '.example.com']) {
    const env = { ...ENV, cookieDomain }
    t.strictSame(taken(env, 'example.com', 'api.example.com', 'notexample.com', 'example.com.evil.test'), [
      'example.com',
      'api.example.com'
    ])
  }
})

t.test('attached, nothing says what the gateway is called', async t => {
  t.strictSame(taken({ ...ENV, authMode: 'attached' }, 'anything.test'), ['anything.test'])
})
