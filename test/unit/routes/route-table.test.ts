/** Which route gets a request, and who must be let in for it. */
import t from 'tap'
import type { RouteConfig } from '../../../src/config/gateway-file.js'
import { type Match, RouteTable } from '../../../src/routes/route-table.js'
import { aRoute } from '../../support/routes.js'

/** The name of the route, `405 ALLOW`, or `none`. */
function ask(routes: readonly RouteConfig[], path: string, method = 'GET', host = 'gw.test'): string {
  return wordsOf(RouteTable.compile(routes).match({ method, host, path }))
}

function wordsOf(match: Match): string {
  if (match.kind === 'route') return match.route.name
  return match.kind === 'none' ? 'none' : `405 ${match.allow.join(' ')}`
}

t.test('the longest path wins, whatever the order in the file', async t => {
  const routes = [aRoute('/*'), aRoute('/api/orders/*'), aRoute('/api/orders/admin/*'), aRoute('/api/orders/admin')]

  for (const order of [routes, routes.toReversed()]) {
    t.equal(ask(order, '/api/orders/admin/x'), '/api/orders/admin/*')
    t.equal(ask(order, '/api/orders/admin'), '/api/orders/admin', 'exact before wildcard')
    t.equal(ask(order, '/api/orders/7'), '/api/orders/*')
    t.equal(ask(order, '/api/ordersx'), '/*')
    t.equal(ask(order, '/'), '/*')
  }
})

t.test('no route, no guess: other case, other prefix (A11, A12)', async t => {
  for (const path of ['/API/a/x', '/Api/a/x', '/api/ax', '/api/a.evil', '/api', '/']) {
    t.equal(ask([aRoute('/api/a/*')], path), 'none', path)
  }
})

t.test('at one path the host of the request goes before no host; other hosts do not exist', async t => {
  const routes = [
    aRoute('/api/*', { name: 'any' }),
    aRoute('/api/*', { name: 'a', host: 'a.test' }),
    aRoute('/api/x/*', { name: 'b', host: 'b.test' })
  ]

  t.equal(ask(routes, '/api/x', 'GET', 'a.test'), 'a')
  t.equal(ask(routes, '/api/x', 'GET', 'b.test'), 'b')
  t.equal(ask(routes, '/api/x', 'GET', 'c.test'), 'any')
  t.equal(ask([aRoute('/a', { host: 'a.test' })], '/a', 'GET', 'b.test'), 'none')
})

t.test('then a method goes before no method, and GET brings HEAD along', async t => {
  const routes = [
    aRoute('/a', { name: 'any' }),
    aRoute('/a', { name: 'read', methods: ['GET'] }),
    aRoute('/a', { name: 'write', methods: ['POST', 'PUT'] })
  ]

  t.equal(ask(routes, '/a', 'GET'), 'read')
  t.equal(ask(routes, '/a', 'HEAD'), 'read')
  t.equal(ask(routes, '/a', 'PUT'), 'write')
  t.equal(ask(routes, '/a', 'DELETE'), 'any')
  t.equal(ask([...routes, aRoute('/a', { name: 'head', methods: ['HEAD'] })], '/a', 'HEAD'), 'head')
})

t.test('a method the most specific path or host does not take never falls to a broader route', async t => {
  const routes = [
    aRoute('/*', { access: 'public' }),
    aRoute('/api/admin/*', { methods: ['GET', 'POST'], access: { roles: ['admin'] } }),
    aRoute('/api/admin/*', { name: 'here', host: 'a.test', methods: ['PUT'] })
  ]

  t.equal(ask(routes, '/api/admin/x', 'DELETE'), '405 GET POST HEAD')
  t.equal(ask(routes, '/api/admin/x', 'GET', 'a.test'), '405 PUT')
  t.equal(ask([aRoute('/a', { methods: ['GET'] }), aRoute('/a/*')], '/a', 'POST'), '405 GET HEAD')
})

t.test('routes whose names and paths run together keep their own upstreams (A26)', async t => {
  const table = RouteTable.compile([
    aRoute('/1/private', { upstream: 'U:3100' }),
    aRoute('/private', { upstream: 'U:31001' })
  ])

  for (let i = 0; i < 100; i++) {
    t.match(table.match({ method: 'GET', host: '', path: '/1/private' }), { route: { upstream: 'U:3100' } })
    t.match(table.match({ method: 'GET', host: '', path: '/private' }), { route: { upstream: 'U:31001' } })
  }
})

t.test('a thousand routes are told apart', async t => {
  const table = RouteTable.compile(Array.from({ length: 1000 }, (_, i) => aRoute(`/api/service-${i}/*`)))

  for (let i = 0; i < 1000; i++) {
    t.equal(wordsOf(table.match({ method: 'GET', host: '', path: `/api/service-${i}/x` })), `/api/service-${i}/*`)
  }
})
