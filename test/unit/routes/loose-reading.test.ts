/**
 * A18, CVE-2026-73511: an upstream may serve /api/a/admin for a path that is written differently. The caller
 * must then be allowed in by the route the path is written for and by the one it can be read as.
 */
import t from 'tap'
import type { RouteConfig } from '../../../src/config/gateway-file.js'
import { foldPath } from '../../../src/routes/fold-path.js'
import { canonicalPath } from '../../../src/routes/canonical-path.js'
import { type Route, RouteTable } from '../../../src/routes/route-table.js'
import { aRoute } from '../../support/routes.js'

const session = aRoute('/api/a/*', { stripPrefix: '/api' })
const admin = aRoute('/api/a/admin/*', { access: { roles: ['admin'] }, consistency: 'strict', upstream: 'other' })

function routeFor(routes: readonly RouteConfig[], path: string, method = 'GET'): Route {
  const match = RouteTable.compile(routes).match({ method, host: 'gw.test', path: canonicalPath(path)?.path ?? '' })
  if (match.kind !== 'route') throw new Error(`${path}: ${match.kind}`)
  return match.route
}

const LOOSE = [
  '/api/a/Admin',
  '/api/a/ADMIN/x',
  '/api/a/admin%20',
  '/api/a/admin%20%20/x',
  '/api/a/admin.json',
  '/api/a/admin./x',
  '/api/a/admin.x.y',
  '/api/a/admin%c2%a0',
  '/api/a/admin%3fx',
  '/api/a/admin%23x',
  '/api/a/%ef%bd%81dmin/x',
  '/api/a/Admin.JSON',
  '/api/a/admin%ef%bc%8ejson'
]

t.test('every loose spelling needs both: the session route decides where it goes, the admin role who may', async t => {
  for (const path of LOOSE) {
    const route = routeFor([session, admin], path)
    t.match(route, { name: '/api/a/*', upstream: 'echo', stripPrefix: '/api', consistency: 'strict' }, path)
    t.strictSame(route.access.roles, [['admin']], path)
  }
})

t.test('an escaped slash that only Unicode can see is seen', async t => {
  const all = aRoute('/*', { access: 'public' })

  t.strictSame(routeFor([all, admin], '/api/a%ef%bc%8fadmin').access, routeFor([all, admin], '/api/a/admin').access)
})

t.test('an exact route is found behind a slash, a suffix and other case', async t => {
  const exact = aRoute('/api/a/admin', { access: { roles: ['admin'] } })

  for (const path of ['/api/a/admin/', '/api/a/Admin', '/api/a/admin.json', '/api/a/admin%20/']) {
    t.strictSame(routeFor([session, exact], path).access.roles, [['admin']], path)
  }
  t.strictSame(routeFor([session, exact], '/api/a/admin/x').access.roles, [], 'another path')
  t.strictSame(routeFor([session, exact], '/api/a/administrator').access.roles, [], 'another name')
})

t.test('an exact route at the very place of a wildcard is found behind a slash', async t => {
  const exact = aRoute('/api/a', { access: { roles: ['admin'] } })

  t.strictSame(routeFor([session, exact], '/api/a/').access.roles, [['admin']])
})

t.test('a route that is itself written in capitals is found from the plain path', async t => {
  const exact = aRoute('/api/a/Admin', { access: { roles: ['admin'] } })

  t.strictSame(routeFor([session, exact], '/api/a/admin').access.roles, [['admin']])
})

t.test('what both demand is demanded: roles of each, the shorter age, the stricter level and checks', async t => {
  const outer = aRoute('/api/a/*', { access: { roles: ['user', 'admin'], freshMs: 60_000 }, originCheck: false })
  const inner = aRoute('/api/a/admin/*', { access: { roles: ['admin'], freshMs: 1000, emailVerified: true } })

  t.match(routeFor([outer, inner], '/api/a/Admin'), {
    access: { level: 'session', roles: [['user', 'admin'], ['admin']], freshMs: 1000, emailVerified: true },
    originCheck: true
  })
  t.equal(routeFor([aRoute('/api/a/*', { access: 'public' }), inner], '/api/a/Admin').access.level, 'session')
})

t.test('a method that the stricter route does not take is not taken for a loose spelling either', async t => {
  const readOnly = aRoute('/api/a/admin', { methods: ['GET'], access: { roles: ['admin'] } })
  const table = RouteTable.compile([session, readOnly])

  t.match(table.match({ method: 'DELETE', host: '', path: '/api/a/Admin' }), { kind: 'method', allow: ['GET', 'HEAD'] })
})

t.test('a route the path is written for exactly is not second-guessed', async t => {
  const open = aRoute('/api/a/admin.css', { access: 'public' })

  t.equal(routeFor([session, admin, open], '/api/a/admin.css').access.level, 'public')
})

t.test('two routes that read alike stay apart when the path names one of them', async t => {
  const routes = [aRoute('/v1.1/*', { access: 'public' }), aRoute('/v1.2/*')]

  t.equal(routeFor(routes, '/v1.1/x').access.level, 'public')
})

t.test('routes that share a loose reading are all demanded', async t => {
  const routes = [
    session,
    aRoute('/api/a/admin.v1', { access: { roles: ['one'] } }),
    aRoute('/api/a/admin.v2', { access: { roles: ['two'] } })
  ]

  t.strictSame(routeFor(routes, '/api/a/Admin').access.roles, [['one'], ['two']])
})

t.test('the same pair is merged once', async t => {
  const table = RouteTable.compile([session, admin])
  const [one, other] = ['/api/a/Admin', '/api/a/ADMIN'].map(path => table.match({ method: 'GET', host: '', path }))

  t.equal(one, other)
})

t.test('folding leaves plain paths and names that start with a dot alone', async t => {
  for (const path of ['/api/a/admin', '/.well-known/x', '/a/.git/b']) t.equal(foldPath(path), path)
  t.equal(foldPath('/A/b.C/.D.e%20/'), '/a/b/.d')
  t.equal(foldPath('/api/adm%E2%80%8Bin%C2%AD/x'), '/api/admin/x', 'nor what nobody sees')
})
