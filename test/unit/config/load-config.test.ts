/** Environment, file and the rooms above: one frozen Config, or one list of everything that is wrong. */
import { join } from 'node:path'
import t from 'tap'
import { environment } from '../../../src/config/dot-env.js'
import { loadConfig } from '../../../src/config/load-config.js'
import { ConfigError, type ConfigProblem } from '../../../src/errors.js'
import { checkRoutes } from '../../../src/routes/route-rules.js'

const GOOD = `upstreams:
  a: { targets: [http://a], internalKey: "\${KEY}" }
routes:
  - { name: a, path: /a/*, upstream: a, access: { roles: [admin] } }
`

function problemsOf(source: NodeJS.ProcessEnv): readonly ConfigProblem[] {
  try {
    loadConfig(source, checkRoutes)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

t.test('without a file there is no gateway: try-it mode, but not in production', async t => {
  const before = process.cwd()
  t.teardown(() => process.chdir(before))
  process.chdir(t.testdir({}))

  t.equal(loadConfig({}, checkRoutes).gateway, null)
  t.match(
    problemsOf({ NODE_ENV: 'production' }).map(({ place }) => place),
    ['env DATABASE_URL', 'env BETTER_AUTH_SECRET', 'env BETTER_AUTH_URL', 'env GATEWAY_CONFIG']
  )
})

t.test('a good configuration is frozen to the bottom', async t => {
  const file = join(t.testdir({ 'g.yaml': GOOD }), 'g.yaml')

  const config = loadConfig({ GATEWAY_CONFIG: file, KEY: 'k' }, checkRoutes)

  t.equal(config.gateway?.upstreams[0]?.internalKey, 'k')
  t.throws(() => Object.assign(config, { env: null }), TypeError)
  t.throws(() => Object.assign(config.env.loginLimitIp, { max: 1e9 }), TypeError)
  t.throws(() => Object.assign(config.gateway?.routes[0]?.access ?? {}, { roles: [] }), TypeError)
})

t.test('an upstream key comes from NAME_FILE as well, whatever its name', async t => {
  const dir = t.testdir({ 'g.yaml': GOOD, key: 'from-file\n' })

  const { gateway } = loadConfig({ GATEWAY_CONFIG: join(dir, 'g.yaml'), KEY_FILE: join(dir, 'key') }, checkRoutes)

  t.equal(gateway?.upstreams[0]?.internalKey, 'from-file')
})

t.test('problems of the environment, of the file and of the routes come together', async t => {
  const file = join(
    t.testdir({ 'g.yaml': `${GOOD}  - { name: b, path: /a*, upstream: b, access: session, x: 1 }\n` }),
    'g.yaml'
  )

  t.strictSame(
    problemsOf({ GATEWAY_CONFIG: file, PORT: 'x' }).map(({ place }) => place.replace(file, 'g.yaml')),
    [
      'env PORT',
      'g.yaml:2:29 upstreams.a.internalKey',
      'g.yaml:5:57 routes[1].x',
      'g.yaml:5:27 routes[1].upstream',
      'g.yaml:5:16 routes[1].path'
    ]
  )
})

t.test('/api/auth may be routed when attached, and only then', async t => {
  const text =
    'upstreams: { a: { targets: [http://a] } }\nroutes: [{ name: a, path: /api/auth/*, upstream: a, access: public }]\n'
  const source = { GATEWAY_CONFIG: join(t.testdir({ 'g.yaml': text }), 'g.yaml') }
  const attached = { AUTH_MODE: 'attached', DATABASE_URL: 'postgres://h/d', BETTER_AUTH_SECRET: 's'.repeat(32) }

  t.match(problemsOf(source), [{ place: /routes\[0\]\.path$/, message: /gateway serves this path itself/ }])
  t.strictSame(problemsOf({ ...source, ...attached }), [])
})

t.test('a file that is named and not there is a problem, never try-it mode', async t => {
  t.match(problemsOf({ GATEWAY_CONFIG: join(t.testdir({}), 'none.yaml') }), [
    { place: 'env GATEWAY_CONFIG', message: /cannot be read \(ENOENT\)/ }
  ])
  t.match(problemsOf({ GATEWAY_CONFIG: t.testdir({}) }), [{ message: /cannot be read \(EISDIR\)/ }])
})

t.test('.env lies below the environment and changes nothing in it (R85)', async t => {
  const file = join(t.testdir({ '.env': '# comment\nPORT=1234\nHOST="a b"\n' }), '.env')
  const own = { PORT: '5678' }

  t.strictSame(environment(own, file), { PORT: '5678', HOST: 'a b' })
  t.strictSame(own, { PORT: '5678' })
  t.equal(environment(own, `${file}.none`), own)
})
