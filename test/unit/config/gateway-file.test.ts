/** gateway.yaml: what it comes to, and everything that is wrong with it at once, with line, column and path. */
import t from 'tap'
import { parseGatewayFile } from '../../../src/config/gateway-file.js'

const VARIABLES: Readonly<Record<string, string>> = { KEY: 'sesame', ORDERS: 'http://orders:8000' }

function parse(text: string) {
  const { gateway, problems } = parseGatewayFile(text, {
    file: 'gateway.yaml',
    variable: name => VARIABLES[name] ?? null
  })
  return { gateway, problems: problems.map(({ place, message }) => `${place}: ${message}`) }
}

/** A file whose only upstream is `a`; `route` stands at line 3, column 5. */
function withRoute(route: string) {
  return parse(`upstreams: { a: { targets: [http://a] } }\nroutes:\n  - { ${route} }\n`)
}

function withUpstream(upstream: string) {
  return parse(`upstreams:\n  a: { ${upstream} }\nroutes: []\n`)
}

t.test('the example of the contract comes out with units counted and defaults filled in', async t => {
  const { gateway, problems } = parse(`
upstreams:
  orders:
    targets: ["\${ORDERS}", HTTP://Orders-2:80/]
    internalKey: \${KEY}
    audience: orders
    timeout: { connect: 1s, headers: 10s }
    retries: 2
    health: { path: /health }
    maxBody: 10mb
  plain: { targets: [https://plain] }
routes:
  - name: orders-admin
    path: /api/orders/admin/*
    methods: [GET, POST]
    host: api.example.com
    upstream: orders
    access: { roles: [admin, superadmin], organizationRoles: [owner], emailVerified: true, fresh: 10m }
    consistency: strict
    originCheck: false
    onUnauthenticated: redirect
    rateLimit: { max: 100, window: 1m, by: user }
  - { name: orders, path: /api/orders/*, upstream: plain, stripPrefix: /api, access: session }
tests:
  - { request: "GET /api/orders/7", as: anonymous, expect: 401 }
  - { request: "GET /api/orders/7", host: a.test, as: { roles: [user], organizationRole: owner, emailVerified: false }, expect: orders }
`)

  t.strictSame(problems, [])
  t.strictSame(gateway.upstreams, [
    {
      name: 'orders',
      targets: ['http://orders:8000', 'http://orders-2'],
      internalKey: 'sesame',
      audience: 'orders',
      connectTimeoutMs: 1000,
      headersTimeoutMs: 10_000,
      idleTimeoutMs: 60_000,
      retries: 2,
      health: { path: '/health', intervalMs: 5000 },
      maxBodyBytes: 10_485_760,
      maxSockets: 100,
      tls: null
    },
    {
      name: 'plain',
      targets: ['https://plain'],
      internalKey: null,
      audience: null,
      connectTimeoutMs: 2000,
      headersTimeoutMs: 30_000,
      idleTimeoutMs: 60_000,
      retries: 0,
      health: null,
      maxBodyBytes: null,
      maxSockets: 100,
      tls: null
    }
  ])
  t.strictSame(gateway.routes, [
    {
      name: 'orders-admin',
      path: '/api/orders/admin/*',
      methods: ['GET', 'POST'],
      host: 'api.example.com',
      upstream: 'orders',
      stripPrefix: null,
      access: { roles: ['admin', 'superadmin'], organizationRoles: ['owner'], emailVerified: true, freshMs: 600_000 },
      consistency: 'strict',
      originCheck: false,
      redirectToPortal: true,
      rateLimit: { max: 100, windowMs: 60_000, by: 'user' }
    },
    {
      name: 'orders',
      path: '/api/orders/*',
      methods: null,
      host: null,
      upstream: 'plain',
      stripPrefix: '/api',
      access: 'session',
      consistency: 'cached',
      originCheck: true,
      redirectToPortal: false,
      rateLimit: null
    }
  ])
  t.strictSame(gateway.tests, [
    { method: 'GET', path: '/api/orders/7', host: null, as: 'anonymous', expect: 401 },
    {
      method: 'GET',
      path: '/api/orders/7',
      host: 'a.test',
      as: { roles: ['user'], organizationRole: 'owner', emailVerified: false },
      expect: 'orders'
    }
  ])
})

t.test('JSON is YAML too', async t => {
  const json = {
    upstreams: { a: { targets: ['http://a'] } },
    routes: [{ name: 'a', path: '/*', upstream: 'a', access: 'public' }]
  }

  t.strictSame(parse(JSON.stringify(json)).problems, [])
})

t.test('every problem is found at once, each at its line, column and path', async t => {
  const { problems } = parse(`upstreams:
  orders:
    targets: [file:///etc/passwd]
    internalKey: \${NOPE}
    timeuot: { connect: 2 }
routes:
  - name: a
    path: /a/*
    upstream: ordres
  - { name: a, path: /b/*, upstream: orders, access: sesion }
  - name: c
    path: /c/*
    upstream: orders
    access: { rols: [admin], fresh: 10 }
tests:
  - { request: GET, as: nobody, expect: missing }
routs: []
`)

  t.strictSame(problems.map(problem => problem.split(': ')[0]).toSorted(), [
    'gateway.yaml:10:46 routes[1].access',
    'gateway.yaml:10:7 routes[1].name',
    'gateway.yaml:14:15 routes[2].access.rols',
    'gateway.yaml:14:30 routes[2].access.fresh',
    'gateway.yaml:16:21 tests[0].as',
    'gateway.yaml:16:33 tests[0].expect',
    'gateway.yaml:16:7 tests[0].request',
    'gateway.yaml:17:1 routs',
    'gateway.yaml:3:15 upstreams.orders.targets[0]',
    'gateway.yaml:4:5 upstreams.orders.internalKey',
    'gateway.yaml:5:5 upstreams.orders.timeuot',
    'gateway.yaml:7:5 routes[0].access',
    'gateway.yaml:9:5 routes[0].upstream'
  ])
})

t.test('access has no default', async t => {
  t.strictSame(withRoute('name: r, path: /r, upstream: a').problems, ['gateway.yaml:3:5 routes[0].access: is missing'])
})

t.test('an access that demands nothing, or something unknown, is a problem', async t => {
  for (const access of [
    '{}',
    '{ emailVerified: false }',
    '{ roles: [] }',
    '{ roles: admin }',
    '{ roles: [""] }',
    '{ roles: ["a,b"] }',
    'Public',
    'true',
    '[]',
    '~',
    '{ public: true }'
  ]) {
    const { problems } = withRoute(`name: r, path: /r, upstream: a, access: ${access}`)
    t.equal(problems.length, 1, access)
    t.match(problems[0], /^gateway\.yaml:3:\d+ routes\[0\]\.access/, access)
  }
})

t.test('values a route cannot have are problems', async t => {
  const wrong = [
    'methods: []',
    'methods: [get]',
    'methods: GET',
    'methods: [CONNECT]',
    'host: "a.test:80"',
    'host: A.test',
    'host: "*.a.test"',
    'consistency: eventual',
    'originCheck: no way',
    'onUnauthenticated: portal',
    'rateLimit: { max: 0, window: 1m, by: ip }',
    'rateLimit: { max: 1, window: 1, by: ip }',
    'rateLimit: { max: 1, window: 1m, by: token }',
    'regex: true',
    'stripPrefix: 1',
    'name: r'
  ]

  for (const part of wrong) {
    t.ok(withRoute(`name: "a route", path: /r, upstream: a, access: session, ${part}`).problems.length > 0, part)
    const { problems } = withRoute(`name: q, path: /r, upstream: a, access: session, ${part}`)
    t.equal(problems.length, 1, part)
  }
})

t.test('an upstream target is an http origin, never a metadata address (I03)', async t => {
  const wrong = [
    'http://169.254.169.254',
    'http://2852039166',
    'http://0xa9.0xfe.0xa9.0xfe',
    'http://169.254.1.1:80',
    'http://[::ffff:169.254.169.254]',
    'http://[fe80::1]',
    'http://[fd00:ec2::254]',
    'http://metadata.google.internal',
    'http://metadata.google.internal.',
    'file:///etc/passwd',
    'ftp://a',
    'http://u:p@a',
    'http://u@a',
    'http://a/path',
    'http://a/?q',
    'http://a?',
    'http://a#f',
    'a:8000',
    'orders',
    '',
    'http://',
    '//a',
    'unix:/run/a.sock'
  ]

  for (const target of wrong) {
    const { problems } = withUpstream(`targets: ["${target}"]`)
    t.match(problems, [/^gateway\.yaml:2:\d+ upstreams\.a\.targets\[0\]: must /], target)
  }
  for (const target of ['http://a', 'https://a:8443/', 'http://127.0.0.1:1', 'http://[::1]:1', 'http://10.0.0.1']) {
    t.strictSame(withUpstream(`targets: ["${target}"]`).problems, [], target)
  }
})

t.test('values an upstream cannot have are problems', async t => {
  const wrong = [
    'timeout: 2s',
    'timeout: { connect: 2 }',
    'timeout: { connect: 0s }',
    'timeout: { headers: 30d }',
    'retries: -1',
    'retries: 11',
    'retries: 1.5',
    'health: {}',
    'health: { path: health }',
    'maxBody: 10',
    'maxBody: 10MB',
    'maxBody: 0b',
    'internalKey: ""',
    'internalKey: "a b"',
    'internalKey: "a\\nb"',
    'audience: 1',
    'target: http://b'
  ]

  for (const part of wrong) t.equal(withUpstream(`targets: [http://a], ${part}`).problems.length, 1, part)
  t.match(withUpstream('targets: []').problems, [/upstreams\.a\.targets: must not be empty/])
})

t.test('${NAME} that is not set, or not a name, is a problem; no value is ever shown', async t => {
  t.strictSame(withUpstream('targets: [http://a], internalKey: "${NOPE}"').problems, [
    'gateway.yaml:2:29 upstreams.a.internalKey: ${NOPE} is not set in the environment'
  ])
  t.match(withUpstream('targets: [http://a], audience: "${NO-PE}"').problems, [/'\$\{NO-PE\}' must be \$\{NAME\}/])
  t.notMatch(withUpstream('targets: ["${KEY}"], internalKey: "${KEY} ${KEY}"').problems.join('\n'), /sesame/)
  t.strictSame(
    withUpstream('targets: ["${ORDERS}"], audience: "x-${KEY}-y"').gateway.upstreams[0]?.audience,
    'x-sesame-y'
  )
})

t.test('${NAME} counts below upstreams only', async t => {
  t.match(withRoute('name: r, path: /r, upstream: a, access: session, host: "${KEY}"').problems, [
    /routes\[0\]\.host: must be a host name/
  ])
})

t.test('syntax, duplicate keys, tags, alias bombs and several documents are problems with a place', async t => {
  const good = 'upstreams: {}\nroutes: []\n'
  const bomb = [
    'a: &a [x, x, x, x, x, x, x, x, x]',
    ...['b', 'c', 'd', 'e'].map((key, i) => `${key}: &${key} [${Array(9).fill(`*${'abcd'[i]}`).join(', ')}]`)
  ].join('\n')
  const cases = {
    'routes: [\n': /^gateway\.yaml:\d+:\d+: /,
    [`${good}routes: []\n`]: /^gateway\.yaml:3:1: Map keys must be unique/,
    '\tupstreams: {}': /^gateway\.yaml:1:/,
    [`${good}tests: !!js/function []\n`]: /^gateway\.yaml:3:8: Unresolved tag/,
    [`${good}tests: *nobody\n`]: /aliases/,
    [bomb]: /^gateway\.yaml:1:1: has aliases/,
    [`${good}---\n${good}`]: /^gateway\.yaml:3:/,
    '': /^gateway\.yaml:1:1: must be a map/,
    '- a': /^gateway\.yaml:1:1: must be a map/,
    'just text': /^gateway\.yaml:1:1: must be a map/
  }

  for (const [text, expected] of Object.entries(cases))
    t.match(parse(text).problems[0], expected, JSON.stringify(text.slice(0, 40)))
})

t.test('one slip of syntax is one problem, and a variable without its quotes is told how to get them', async t => {
  const routes = Array.from({ length: 12 }, (_, i) => `  - { name: r${i}, path: /r${i}, upstream: a, access: public }`)
  const upstreams = 'upstreams: { a: { targets: [http://a], internalKey: ${KEY} } }'
  const { problems } = parse([upstreams, 'routes:', ...routes].join('\n'))

  t.equal(problems.length, 1)
  t.match(problems[0], /^gateway\.yaml:1:\d+: .*quotes/)
})

t.test('an alias is resolved, and a problem behind it has its place', async t => {
  const { problems } = parse('upstreams: { a: &a { targets: [ftp://a] }, b: *a }\nroutes: []\n')

  t.strictSame(problems, [
    'gateway.yaml:1:32 upstreams.a.targets[0]: must be http or https',
    'gateway.yaml:1:32 upstreams.b.targets[0]: must be http or https'
  ])
})

t.test('keys that are special to JavaScript are ordinary unknown keys', async t => {
  for (const key of ['constructor', 'toString', 'hasOwnProperty']) {
    t.match(
      withRoute(`name: r, path: /r, upstream: a, access: session, ${key}: 1`).problems,
      [/is not a key that means anything here/],
      key
    )
    t.match(
      withRoute(`name: r, path: /r, upstream: ${key}, access: session`).problems,
      [/is no upstream of this file/],
      key
    )
  }
  withRoute('name: r, path: /r, upstream: a, access: session, __proto__: { polluted: true }')
  t.equal(({} as { polluted?: boolean }).polluted, undefined)
})

t.test('places count sound routes, so those found later point into the document', async t => {
  const { gateway } = parse(
    'upstreams: { a: { targets: [http://a] } }\nroutes:\n  - 7\n  - { name: b, path: /b, upstream: a, access: session }\n'
  )

  t.equal(gateway.routes.length, 1)
  t.equal(gateway.placeOf(['routes', 0, 'path']), 'gateway.yaml:4:16 routes[1].path')
})
