import { assert, constantFrom, property, array } from 'fast-check'
import t from 'tap'
import { type LocationScope, publicLocation } from '../../../src/upstream/location.js'

const stripped: LocationScope = {
  ownAuthorities: new Set(['orders-1:8000', 'orders-2:8000']),
  stripPrefix: '/api',
  routePath: '/api/orders/*'
}
const whole: LocationScope = { ...stripped, stripPrefix: null }

t.test('the upstream’s own address becomes a path the client can ask for', async t => {
  const cases = [
    ['http://orders-1:8000/orders/7/', '/api/orders/7/'],
    ['https://orders-2:8000/orders/7?a=/b#c', '/api/orders/7?a=/b#c'],
    ['//ORDERS-1:8000/orders', '/api/orders'],
    ['HTTP://orders-1:8000', '/api/'],
    ['http://orders-1:8000?next=1', '/api/?next=1'],
    ['http://orders-1:8000/login', '/api/login'],
    ['http://orders-1:8000/api/orders/7', '/api/orders/7']
  ] as const
  for (const [location, expected] of cases) {
    t.equal(publicLocation(location, stripped), expected, location)
    t.equal(publicLocation(location, whole), expected.replace(/^\/api(?!\/orders\/7$)/, ''), location)
  }
})

t.test('a path gets the prefix back where it leads to the same route', async t => {
  const cases = [
    ['/orders/7/', '/api/orders/7/'],
    ['/orders', '/api/orders'],
    ['/orders?page=2', '/api/orders?page=2'],
    ['/ordersx', '/ordersx'],
    ['/login', '/login'],
    ['/api/orders/7', '/api/orders/7'],
    ['/', '/']
  ] as const
  for (const [location, expected] of cases) {
    t.equal(publicLocation(location, stripped), expected, location)
    t.equal(publicLocation(location, whole), location, location)
  }
  t.equal(publicLocation('/', { ...stripped, routePath: '/api/*' }), '/api/')
  t.equal(publicLocation('/orders', { ...stripped, routePath: '/api/orders' }), '/orders', 'an exact route is one path')
})

t.test('what leads elsewhere, or nowhere, is not ours to change', async t => {
  const others = [
    'https://shop.example.com/orders/7',
    'http://orders-1:8000.evil.test/x',
    'http://orders-1:8000@evil.test/x',
    'http://orders-1/x',
    '7',
    '?page=2',
    '../7',
    '#top',
    '',
    'mailto:a@b.test',
    '//evil.test/orders',
    '/\\evil.test/orders',
    '/\t/evil.test/orders'
  ]
  for (const location of others) t.equal(publicLocation(location, stripped), location, location)
})

t.test('no redirect that stayed with the upstream becomes one to another host (property)', async t => {
  const tail = array(constantFrom('/', '\\', '\t', '?', '#', '@', ':', 'evil.test', '%2f', 'orders', '.', ' '), {
    maxLength: 6
  })
  const safe = property(tail, constantFrom(stripped, whole), (parts, scope) => {
    const location = publicLocation(`http://orders-1:8000${parts.join('')}`, scope)
    const base = 'https://gw.test/api/orders/1'
    const host = URL.canParse(location, base) ? new URL(location, base).host : 'gw.test'
    return ['gw.test', 'orders-1:8000'].includes(host) || !/^(?:[/\\?#]|$)/.test(parts.join(''))
  })
  t.doesNotThrow(() => assert(safe, { numRuns: 20_000 }))
})
