/** The program as a shell sees it: words out, exit codes, and nothing started. */
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Command } from '../../../src/cli/main.js'
import { builtCommand } from '../../support/built.js'
import { ROOT } from '../../support/root.js'

const EXAMPLE = join(ROOT, 'gateway.example.yaml')

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** With no variables but those given, and in a folder of its own. */
async function sessionGateway(cwd: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const { PATH, HOME } = process.env
  const command = await builtCommand(...args)
  return new Promise(resolve => {
    execFile(
      process.execPath,
      command,
      { cwd, env: { PATH, HOME, ...env }, timeout: 30_000 },
      (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr })
      }
    )
  })
}

t.test('--version is that of package.json', async t => {
  const { code, stdout } = await sessionGateway(t.testdir({}), ['--version'])
  t.strictSame([code, stdout], [0, `${JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')).version}\n`])
})

t.test('explain without a gateway.yaml speaks of the routes of try-it mode', async t => {
  const { code, stdout } = await sessionGateway(t.testdir({}), ['explain', 'GET', '/api/admin/x', '--role', 'user'])
  t.equal(code, 0)
  t.match(stdout, /try-it mode[\s\S]*try-it-admin[\s\S]*INSUFFICIENT_ROLE/)
})

t.test('no command and --help list the commands; an unknown one fails with the list', async t => {
  const dir = t.testdir({})

  const [bare, help, unknown] = await Promise.all([[], ['--help'], ['toString']].map(args => sessionGateway(dir, args)))

  t.match(help, { code: 0, stdout: /start .*\n +migrate .*\n +check .*\n +explain /, stderr: '' })
  t.equal(bare?.stdout, help?.stdout)
  t.match(unknown, { code: 1, stdout: '', stderr: /no command 'toString'[\s\S]*explain/ })
})

t.test('every command explains itself', async t => {
  for (const command of ['start', 'migrate', 'check', 'explain', 'doctor', 'role', 'token']) {
    const { help } = (await import(`../../../src/cli/${command}.js`)) as Command
    t.ok(help.startsWith(`Usage: session-gateway ${command}`), command)
  }
})

t.test('--help prints that and does nothing else', async t => {
  const dir = t.testdir({ 'gateway.yaml': 'routes: [7]' })

  const { code, stdout, stderr } = await sessionGateway(dir, ['check', '--help'])

  t.match({ code, stdout, stderr }, { code: 0, stdout: /^Usage: session-gateway check\n/, stderr: '' })
})

t.test('an option nobody knows fails with one line, without a stack', async t => {
  const { code, stderr } = await sessionGateway(t.testdir({}), ['check', '--fix'])

  t.equal(code, 1)
  t.match(stderr, /'--fix'/)
  t.notMatch(stderr, /at .*\.[jt]s:/)
})

t.test('the shipped example passes its own tests', async t => {
  const { code, stdout, stderr } = await sessionGateway(t.testdir({}), ['check'], {
    GATEWAY_CONFIG: EXAMPLE,
    INTERNAL_API_KEY: 'sesame'
  })

  t.equal(stderr, '')
  t.equal(code, 0)
  t.match(
    stdout,
    /orders-admin: GET POST \/api\/orders\/admin\/\* -> orders, session with one of the roles admin, superadmin/
  )
  t.match(stdout, /8 of 8 tests pass\.\n$/)
  t.notMatch(stdout, /sesame/)
})

t.test('check without a gateway.yaml says that it would be try-it mode', async t => {
  t.match(await sessionGateway(t.testdir({}), ['check']), { code: 0, stdout: /try-it mode/ })
})

t.test('every problem has one line on stderr, exit code 78, no secret, no stack', async t => {
  const dir = t.testdir({
    'gateway.yaml':
      'upstreams: { a: { targets: [http://u:hunter2@a] } }\nroutes:\n  - { name: a, path: /a*, upstream: b }\n',
    '.env': 'PORT=no\n'
  })

  const { code, stdout, stderr } = await sessionGateway(dir, ['check'], {
    BETTER_AUTH_SECRET: 'hunter2',
    REDIS_URL: 'http://:hunter2@h'
  })

  t.equal(code, 78)
  t.equal(stdout, '')
  t.strictSame(
    stderr.split('\n').map(line => line.split(': ')[0]),
    [
      'env PORT',
      'env REDIS_URL',
      'env BETTER_AUTH_SECRET',
      'gateway.yaml:1:29 upstreams.a.targets[0]',
      'gateway.yaml:3:5 routes[0].access',
      'gateway.yaml:3:27 routes[0].upstream',
      'gateway.yaml:3:16 routes[0].path',
      '7 problems.',
      ''
    ]
  )
  t.notMatch(stderr, /hunter2|\n +at /)
})

t.test('start refuses with the very same list as check', async t => {
  const dir = t.testdir({ 'gateway.yaml': 'routes: [7]\n' })

  const [check, start] = await Promise.all(
    ['check', 'start'].map(command => sessionGateway(dir, [command], { PORT: 'no' }))
  )

  t.equal(start?.code, 78)
  t.strictSame(start, check)
})

t.test('a failing test of the file is a 1, with its place and what came instead', async t => {
  const dir = t.testdir({})
  const tests = [
    'request: "GET /a/1", as: anonymous, expect: 401',
    'request: "GET /a/1", as: { roles: [user] }, expect: 403',
    'request: "GET /b", as: anonymous, expect: up',
    'request: "GET /b", as: anonymous, expect: 200',
    'request: "GET /c", as: anonymous, expect: b',
    'request: "GET /b", host: a.test, as: anonymous, expect: b'
  ]
  await writeFile(
    join(dir, 'gateway.yaml'),
    `upstreams: { up: { targets: [http://a] } }
routes:
  - { name: a, path: /a/*, upstream: up, access: session }
  - { name: b, path: /b, upstream: up, access: public, host: localhost }
tests:
${tests.map(test => `  - { ${test} }\n`).join('')}`
  )

  const { code, stdout, stderr } = await sessionGateway(dir, ['check'])

  t.equal(code, 1)
  t.match(stdout, /3 of 6 tests pass\.\n$/)
  t.strictSame(stderr.trim().split('\n'), [
    'gateway.yaml:7:5 tests[1]: GET /a/1: expected 403, got up by route a',
    'gateway.yaml:10:5 tests[4]: GET /c: expected b, got 404 ROUTE_NOT_FOUND',
    'gateway.yaml:11:5 tests[5]: GET /b: expected b, got 404 ROUTE_NOT_FOUND'
  ])
})

t.test('explain says which route decides, for a role, an organisation role and a host', async t => {
  const env = { GATEWAY_CONFIG: EXAMPLE, INTERNAL_API_KEY: 'k', CORS_ORIGINS: 'https://api.example.com' }
  const dir = t.testdir({})
  const ask = (...args: string[]) => sessionGateway(dir, ['explain', ...args], env)

  const [admin, owner, loose, dots, foreign] = await Promise.all([
    ask('get', '/api/orders/admin/7?x=1', '--role', 'user', '--role', 'admin'),
    ask('GET', 'https://API.example.com:8443/api/reports', '--org-role', 'owner'),
    ask('GET', '/api/orders/Admin/7', '--role', 'user', '--host', 'gw'),
    ask('GET', 'http://gw/api/orders/../reports'),
    ask('GET', 'http://evil.test/api/reports', '--org-role', 'owner')
  ])

  t.match(admin, {
    code: 0,
    stdout: /^GET \/api\/orders\/admin\/7 for localhost\n[\s\S]*=> forwarded to 'orders' with the caller's identity\n$/
  })
  t.match(owner?.stdout, /^GET \/api\/reports for api\.example\.com\n[\s\S]*=> forwarded to 'reports'/)
  t.match(loose?.stdout, /for gw\n[\s\S]*orders-admin .*demanded as well[\s\S]*=> 403 INSUFFICIENT_ROLE\n$/)
  t.match(dots?.stdout, /=> 400 BAD_PATH\n$/)
  t.match(foreign?.stdout, /for evil\.test\n {2}nobody named this host.*\n=> 404 ROUTE_NOT_FOUND\n$/)
})

t.test('explain needs a method and a URL', async t => {
  t.match(await sessionGateway(t.testdir({}), ['explain', 'GET']), { code: 1, stderr: /METHOD and URL are needed/ })
})
