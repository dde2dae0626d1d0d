/** Who the client is decides the login limits and what upstreams log, so every way to lie about it is tried. */
import type { IncomingMessage } from 'node:http'
import t from 'tap'
import { createPeerReader, plainAddress } from '../../../src/edge/client-address.js'

function request(remoteAddress: string, forwardedFor?: string): IncomingMessage {
  return { socket: { remoteAddress }, headers: { 'x-forwarded-for': forwardedFor } } as unknown as IncomingMessage
}

const behindProxy = createPeerReader(['10.0.0.0/8', '2001:db8::/32'])

t.test('an untrusted peer is itself, whatever it claims (B13)', async t => {
  for (const peer of ['203.0.113.7', '2001:db9::1']) {
    t.match(behindProxy(request(peer, '6.6.6.6')), { clientAddress: peer, trusted: false })
  }
  t.match(createPeerReader([])(request('10.0.0.5', '6.6.6.6')), { clientAddress: '10.0.0.5', trusted: false })
})

t.test('behind a trusted proxy the right-most untrusted hop is the client (B14)', async t => {
  const cases = [
    ['9.9.9.9', '9.9.9.9'],
    ['6.6.6.6, 9.9.9.9', '9.9.9.9'],
    ['9.9.9.9, 10.0.0.7', '9.9.9.9'],
    ['10.0.0.9, 10.0.0.7', '10.0.0.9'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['1.2.3.4:80', '1.2.3.4'],
    ['[2001:db9::1]:80', '2001:db9::1']
  ] as const
  for (const [chain, client] of cases) {
    t.match(behindProxy(request('10.0.0.5', chain)), { clientAddress: client, trusted: true }, chain)
  }
})

t.test('a mapped IPv4 peer is the IPv4 address it stands for (GHSA-5847-rm3g-23mw)', async t => {
  t.match(behindProxy(request('::ffff:10.0.0.5', '9.9.9.9')), { clientAddress: '9.9.9.9', trusted: true })
  t.match(behindProxy(request('::ffff:8.8.8.8', '9.9.9.9')), { clientAddress: '8.8.8.8', trusted: false })
})

t.test('garbage in the chain never becomes an address (B16)', async t => {
  for (const chain of ['x', 'unknown', '', '1.2.3', '9.9.9.9, x', '[::1', '1.2.3.4:999999']) {
    t.match(behindProxy(request('10.0.0.5', chain)), { clientAddress: '10.0.0.5', forwardedFor: '' }, chain)
  }
})

t.test('the chain is handed on as it came, from the last entry that is no address (B14, B16)', async t => {
  const chains = [
    ['6.6.6.6, 9.9.9.9', '6.6.6.6, 9.9.9.9'],
    ['::ffff:1.2.3.4,[2001:db9::1]:80', '::ffff:1.2.3.4, [2001:db9::1]:80'],
    ['<script>, 6.6.6.6, unknown, 9.9.9.9, 10.0.0.7', '9.9.9.9, 10.0.0.7'],
    ['6.6.6.6, , 9.9.9.9', '9.9.9.9']
  ] as const
  for (const [chain, believed] of chains) {
    t.match(behindProxy(request('10.0.0.5', chain)), {
      clientAddress: /9\.9\.9\.9|2001:db9::1/,
      forwardedFor: believed
    })
  }
  t.match(behindProxy(request('203.0.113.7', '9.9.9.9')), { forwardedFor: '' }, 'of a stranger nothing')
})

t.test('a chain of more than fifty hops is refused (B16)', async t => {
  const chain = Array.from({ length: 51 }, () => '9.9.9.9').join(',')

  t.throws(() => behindProxy(request('10.0.0.5', chain)), { code: 'BAD_REQUEST', reason: 'too_many_hops' })
})

t.test('an address is read without zone, brackets and port', async t => {
  t.equal(plainAddress('fe80::1%eth0'), 'fe80::1')
  t.equal(plainAddress("fe80::1%' or 1=1"), null)
  t.equal(plainAddress('1.2.3.4%eth0'), null)
  t.equal(plainAddress(' 1.2.3.4 '), '1.2.3.4')
  t.equal(plainAddress('2001:DB8::A'), '2001:db8::a')
})
