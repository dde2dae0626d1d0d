/** What a list of routes is refused for: all of it at once, each with its place. */
import t from 'tap'
import type { RouteConfig } from '../../../src/config/gateway-file.js'
import { ConfigError } from '../../../src/errors.js'
import { isOwnPath, routeProblems } from '../../../src/routes/route-rules.js'
import { RouteTable } from '../../../src/routes/route-table.js'
import { aRoute } from '../../support/routes.js'

function placeOf(path: readonly (string | number)[]): string {
  return `gateway.yaml ${path.join('/')}`
}

function messagesFor(...routes: RouteConfig[]): string[] {
  return routeProblems(routes).map(({ place, message }) => `${place} ${message}`)
}

t.test('good routes have no problems', async t => {
  const routes = [
    aRoute('/*'),
    aRoute('/'),
    aRoute('/health'),
    aRoute('/api/a/'),
    aRoute('/api/a/*', { stripPrefix: '/api' }),
    aRoute('/api/b/*', { stripPrefix: '/api/b' }),
    aRoute('/api/*'),
    aRoute('/caf%C3%A9/*'),
    aRoute('/livez-of-us')
  ]

  t.strictSame(messagesFor(...routes), [])
})

t.test('a path that no request can have is a problem', async t => {
  for (const path of [
    'api',
    '',
    '*',
    '/a*',
    '/a/*/b',
    '/*/a',
    '/a/**',
    '/users/:id',
    '/a//b/*',
    '//*',
    '/a//*',
    '/a/../b',
    '/a?b',
    '/a#b',
    '/a b',
    '/a;b/*',
    '/caf%c3%a9',
    '/%61',
    '/{id}'
  ]) {
    t.match(messagesFor(aRoute(path)), [/^routes\.0\.path /], path)
  }
  t.strictSame(messagesFor(aRoute('/%61/*')), ["routes.0.path must be written '/a/*' to match anything"])
})

t.test('a path the gateway serves itself can never match', async t => {
  for (const path of [
    '/api/auth/*',
    '/api/auth',
    '/api/auth/x',
    '/.gateway/*',
    '/livez',
    '/readyz/*',
    '/.well-known/jwks.json'
  ]) {
    t.match(messagesFor(aRoute(path)), [/can never match/], path)
  }
  t.strictSame(messagesFor(aRoute('/api/author/*'), aRoute('/.well-known/*')), [])
})

t.test('with AUTH_MODE=attached /api/auth may be a route', async t => {
  t.strictSame(routeProblems([aRoute('/api/auth/*')], { authMode: 'attached' }), [])
  t.equal(isOwnPath('/api/auth/session', 'attached'), false)
  t.equal(isOwnPath('/api/auth/session', 'hosted'), true)
  t.equal(isOwnPath('/livez', 'attached'), true)
})

t.test('stripPrefix must be whole leading segments of the path', async t => {
  for (const stripPrefix of ['/ap', '/api/', 'api', '/', '', '/api/a/b', '/*', '/b']) {
    t.match(messagesFor(aRoute('/api/a/*', { stripPrefix })), [/^routes\.0\.stripPrefix /], stripPrefix)
  }
})

t.test('two routes for the same requests are a problem of the second', async t => {
  const get = { methods: ['GET', 'PUT'] }

  t.match(messagesFor(aRoute('/a/*'), aRoute('/a/*', { name: 'b' })), [
    "routes.1.path matches the same requests as '/a/*'"
  ])
  t.match(messagesFor(aRoute('/a', get), aRoute('/a', { methods: ['PUT', 'POST'] })), [
    "routes.1.path matches the same PUT requests as '/a'"
  ])
  t.strictSame(messagesFor(aRoute('/a', get), aRoute('/a'), aRoute('/a/*'), aRoute('/a', { host: 'a.test' })), [])
})

t.test('compile refuses with every problem and its place in the file', async t => {
  let thrown: unknown
  try {
    RouteTable.compile([aRoute('/a*'), aRoute('/livez', { stripPrefix: '/x' })], { placeOf })
  } catch (error) {
    thrown = error
  }

  t.ok(thrown instanceof ConfigError)
  t.strictSame(
    (thrown as ConfigError).problems.map(({ place }) => place),
    ['gateway.yaml routes/0/path', 'gateway.yaml routes/1/path', 'gateway.yaml routes/1/stripPrefix']
  )
})
