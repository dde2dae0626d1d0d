/** Explanations say what a request meets, and why. */
import t from 'tap'
import { decide, explain, type Question, type Rules } from '../../../src/routes/explain.js'
import { RouteTable } from '../../../src/routes/route-table.js'
import { aRoute } from '../../support/routes.js'

const table = RouteTable.compile([
  aRoute('/api/orders/*', { name: 'orders' }),
  aRoute('/api/orders/admin/*', { name: 'admin', methods: ['GET'], access: { roles: ['admin'] } }),
  aRoute('/docs/*', { name: 'docs', access: 'public' }),
  aRoute('/docs/*', { name: 'inside', access: 'session', host: 'inside.test' })
])

const rules: Rules = { table, answersFor: host => host.endsWith('.test'), authMode: 'hosted' }

function asking(url: string, overrides: Partial<Question> = {}): Question {
  return { method: 'GET', url, host: 'gw.test', caller: null, ...overrides }
}

function withRoles(...roles: string[]): Partial<Question> {
  return { caller: { roles, organizationRole: null, emailVerified: true, createdAt: Date.now() } }
}

t.test('decisions are those of the pipeline', async t => {
  const cases: [Question, unknown][] = [
    [asking('/api/orders/7'), { code: 'AUTHENTICATION_REQUIRED', status: 401 }],
    [asking('/api/orders/7', withRoles()), { kind: 'route', route: { name: 'orders' } }],
    [asking('/api/orders/admin', withRoles('user')), { code: 'INSUFFICIENT_ROLE', status: 403 }],
    [asking('/api/orders/Admin', withRoles('user')), { code: 'INSUFFICIENT_ROLE', status: 403 }],
    [
      asking('/api/orders/admin', { method: 'POST', ...withRoles('admin') }),
      { code: 'METHOD_NOT_ALLOWED', status: 405 }
    ],
    [asking('/api/orders/../docs'), { code: 'BAD_PATH', status: 400 }],
    [asking('/nothing'), { code: 'ROUTE_NOT_FOUND', status: 404 }],
    [asking('/docs/x'), { kind: 'route', route: { name: 'docs' } }],
    [asking('/docs/x', { host: 'inside.test' }), { code: 'AUTHENTICATION_REQUIRED' }],
    [asking('/docs/x', { host: 'evil.example' }), { code: 'ROUTE_NOT_FOUND', status: 404 }],
    [asking('/api/auth/session'), { kind: 'own' }]
  ]

  for (const [question, expected] of cases) {
    t.match(decide(rules, question), expected as object, `${question.method} ${question.url}`)
  }
})

t.test('every route gets one line that says why', async t => {
  const lines = explain(rules, asking('/api/orders/Admin', withRoles('user')))

  t.equal(lines.length, 6)
  t.match(lines[0], 'GET /api/orders/Admin for gw.test')
  t.match(lines[1], /orders .*decides: session/)
  t.match(lines[2], /admin .*demanded as well.*roles admin/)
  t.match(lines[3], /docs .*no: another path/)
  t.equal(lines[5], '=> 403 INSUFFICIENT_ROLE')
})

t.test('a route that loses says to whom or what', async t => {
  const admin = explain(rules, asking('/api/orders/admin/x', { method: 'POST' }))
  const docs = explain(rules, asking('/docs/x'))

  t.match(admin.join('\n'), /orders .*no: a more specific route goes first\n.*admin .*no: only for GET\n/)
  t.match(
    docs.join('\n'),
    /docs .*decides: public\n.*inside .*no: only for inside\.test\n=> forwarded to 'echo' without an identity/
  )
})

t.test('paths without a route to explain say so in one line', async t => {
  t.strictSame(explain(rules, asking('/livez')), [
    'GET /livez for gw.test',
    '=> answered by the gateway itself'
  ])
  t.strictSame(explain(rules, asking('/docs/x', { host: 'evil.example' })), [
    'GET /docs/x for evil.example',
    '  nobody named this host: no route does, nor BETTER_AUTH_URL, CORS_ORIGINS or COOKIE_DOMAIN',
    '=> 404 ROUTE_NOT_FOUND'
  ])
  t.strictSame(explain(rules, asking('/a/%2e%2e/b')), ['GET /a/%2e%2e/b for gw.test', '=> 400 BAD_PATH'])
})
