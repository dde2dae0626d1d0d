/** The environment: every default of the contract, every refusal, and no secret in a message. */
import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { type Env, readEnv } from '../../../src/config/env.js'
import { VariableSource } from '../../../src/config/variable-source.js'
import { emptyFolder } from '../../support/scratch.js'

// A gateway.yaml of whoever runs the tests must not decide them.
process.chdir(await emptyFolder(t))

const SECRET = 'x3'.repeat(16)
const PRODUCTION = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://u:p@db/app',
  BETTER_AUTH_SECRET: SECRET,
  BETTER_AUTH_URL: 'https://gw.example.com',
  RESEND_API_KEY: 're_1',
  EMAIL_FROM: 'a@example.com',
  GATEWAY_CONFIG: 'somewhere.yaml'
}

function read(source: NodeJS.ProcessEnv): { env: Env; problems: string[] } {
  const variables = new VariableSource(source)
  const env = readEnv(variables)
  return { env, problems: variables.problems.map(({ place, message }) => `${place} ${message}`) }
}

/** The names of the variables that have a problem. */
function blamed(source: NodeJS.ProcessEnv): string[] {
  return read(source).problems.map(problem => problem.split(' ')[1] ?? '')
}

t.test('without any variable everything has the default of the contract', async t => {
  const { env, problems } = read({})

  t.strictSame(problems, [])
  t.strictSame(env, {
    production: false,
    port: 8080,
    host: '127.0.0.1',
    opsPort: 9090,
    opsHost: '127.0.0.1',
    databaseUrl: null,
    databaseDirectUrl: null,
    databaseSchema: null,
    databasePoolMax: 10,
    redisUrl: null,
    secrets: [],
    baseUrl: 'http://localhost:8080',
    authMode: 'hosted',
    corsOrigins: ['http://localhost:3000'],
    cookieDomain: null,
    cookieSameSite: 'lax',
    trustedProxies: [],
    sessionCacheTtlSeconds: 300,
    sessionLocalLeaseMs: 1000,
    outageMode: 'graceful',
    sessionExpiresInSeconds: 604_800,
    sessionUpdateAgeSeconds: 86_400,
    sessionFreshAgeSeconds: 86_400,
    sessionFingerprint: 'off',
    sessionDisableRefresh: false,
    sessionRotateOnRoleChange: true,
    bearerUnsigned: false,
    emailFrom: 'session-gateway <no-reply@localhost>',
    frontendUrl: null,
    mail: { kind: 'log' },
    requireEmailVerification: false,
    socialProviders: {},
    loginLimitIp: { max: 5, windowMs: 60_000 },
    loginLimitAccount: { max: 10, windowMs: 900_000 },
    workers: 1,
    logLevel: 'info',
    gatewayFile: null
  })
})

t.test('an empty variable is not set, as compose files pass them', async t => {
  const { env, problems } = read({ PORT: '', DATABASE_URL: ' ', CORS_ORIGINS: '', BETTER_AUTH_SECRET_FILE: '' })

  t.strictSame(problems, [])
  t.match(env, { port: 8080, databaseUrl: null, corsOrigins: ['http://localhost:3000'] })
})

t.test('production names everything that is missing at once (R84)', async t => {
  t.strictSame(blamed({ NODE_ENV: 'production' }), [
    'DATABASE_URL',
    'BETTER_AUTH_SECRET',
    'BETTER_AUTH_URL',
    'GATEWAY_CONFIG',
    'RESEND_API_KEY'
  ])
  t.strictSame(read(PRODUCTION).problems, [])
})

t.test('production changes three defaults: no CORS origin, verified e-mail, no mail in the log', async t => {
  const { env } = read(PRODUCTION)

  t.match(env, {
    production: true,
    corsOrigins: [],
    requireEmailVerification: true,
    mail: { kind: 'resend', apiKey: 're_1' }
  })
})

t.test('production needs https unless ALLOW_HTTP=1, and mail unless nobody must verify an address', async t => {
  const http = { ...PRODUCTION, BETTER_AUTH_URL: 'http://gw.example.com' }
  const noMail = { ...PRODUCTION, RESEND_API_KEY: '' }

  t.strictSame(blamed(http), ['BETTER_AUTH_URL'])
  t.strictSame(blamed({ ...http, ALLOW_HTTP: '1' }), [])
  t.strictSame(blamed(noMail), ['RESEND_API_KEY'])
  t.strictSame(blamed({ ...noMail, REQUIRE_EMAIL_VERIFICATION: '0' }), [])
  t.strictSame(blamed({ ...noMail, AUTH_MODE: 'attached' }), [], 'mail is sent where Better Auth runs')
})

t.test('attached to a Better Auth elsewhere, its database and secret are needed outside production too', async t => {
  t.strictSame(blamed({ AUTH_MODE: 'attached' }), ['DATABASE_URL', 'BETTER_AUTH_SECRET'])
  t.strictSame(
    blamed({ AUTH_MODE: 'attached', DATABASE_URL: 'postgres://h/d', BETTER_AUTH_SECRETS: `1:${SECRET}` }),
    []
  )
})

t.test('DB_HOST and its kin make an address, with every character escaped (R80)', async t => {
  const parts = { DB_HOST: 'db', DB_PORT: '5433', DB_NAME: 'my/app', DB_USER: 'us:er', DB_PASSWORD: 'p@ss/w?rd#%' }

  const { env, problems } = read(parts)

  t.strictSame(problems, [])
  const url = new URL(env.databaseUrl ?? '')
  t.match(url, { hostname: 'db', port: '5433', pathname: '/my%2Fapp' })
  t.strictSame([url.username, url.password].map(decodeURIComponent), [parts.DB_USER, parts.DB_PASSWORD])
  t.equal(env.databaseDirectUrl, env.databaseUrl)
  t.equal(read({ DB_HOST: '::1', DB_NAME: 'a', DB_USER: 'b' }).env.databaseUrl, 'postgres://b@[::1]:5432/a')
})

t.test('half an address, or two of them, is a problem', async t => {
  t.strictSame(blamed({ DB_HOST: 'db' }), ['DB_NAME', 'DB_USER'])
  t.strictSame(blamed({ DB_NAME: 'app' }), ['DB_HOST'])
  t.strictSame(blamed({ DB_HOST: 'db', DB_NAME: 'a', DB_USER: 'b', DATABASE_URL: 'postgres://h/d' }), ['DB_HOST'])
  t.strictSame(blamed({ DATABASE_DIRECT_URL: 'postgres://h/d' }), ['DATABASE_URL'])
})

t.test('secrets rotate newest first; a single one is version 1, or the oldest beside a list', async t => {
  const [one, two, three] = ['a:b'.repeat(12), 'b'.repeat(32), 'c'.repeat(40)]

  t.strictSame(read({ BETTER_AUTH_SECRET: one }).env.secrets, [{ version: 1, value: one }])
  t.strictSame(read({ BETTER_AUTH_SECRETS: `2:${two}, 1:${one}` }).env.secrets, [
    { version: 2, value: two },
    { version: 1, value: one }
  ])
  t.strictSame(
    read({ BETTER_AUTH_SECRETS: `2:${two},1:${one}`, BETTER_AUTH_SECRET: three }).env.secrets.map(({ value }) => value),
    [two, one, three]
  )
  t.equal(read({ BETTER_AUTH_SECRETS: `1:${one}`, BETTER_AUTH_SECRET: one }).env.secrets.length, 1)
  t.strictSame(
    read({ BETTER_AUTH_SECRETS: `2:${two},1!:${one}`, BETTER_AUTH_SECRET: one }).env.secrets,
    [
      { version: 2, value: two },
      { version: 1, value: one, retired: true }
    ],
    'a leaked one stays retired, wherever else it stands'
  )
})

t.test('a short, well-known or malformed secret is refused, and never shown', async t => {
  const cases: NodeJS.ProcessEnv[] = [
    { BETTER_AUTH_SECRET: 'hunter2' },
    { BETTER_AUTH_SECRET: 'better-auth-secret-12345678901234567890' },
    { BETTER_AUTH_SECRETS: `2:${SECRET},1:hunter2` },
    { BETTER_AUTH_SECRETS: `1:${SECRET},1:${SECRET}y` },
    { BETTER_AUTH_SECRETS: SECRET },
    { BETTER_AUTH_SECRETS: `${SECRET}:1` },
    { BETTER_AUTH_SECRETS: `1:${SECRET},` },
    { BETTER_AUTH_SECRETS: `1!:${SECRET}` },
    { BETTER_AUTH_SECRETS: `2:${SECRET},1!:${SECRET}` }
  ]

  for (const source of cases) {
    const { problems } = read(source)
    t.equal(problems.length, 1, JSON.stringify(source))
    t.notMatch(problems.join(), /hunter2|x3x3|12345678901234567890/)
  }
})

const REFUSED: Record<string, readonly string[]> = {
  PORT: ['-1', '65536', '80a', '8080.5', '0x50', 'http'],
  OPS_PORT: ['65536', '8080'],
  HOST: ['a b', 'http://x', '/tmp/socket'],
  DATABASE_URL: ['mysql://h/d', 'h/d', 'postgres//h'],
  DATABASE_SCHEMA: ['a-b', '"auth"', '1a', 'a;drop'],
  DATABASE_POOL_MAX: ['0', 'ten'],
  REDIS_URL: ['http://h', 'redis:h', 'redis://', 'redis+sentinel://h1,h2', 'redis+cluster://', 'unix:///tmp/redis'],
  BETTER_AUTH_URL: ['gw.example.com', 'ftp://a', 'https://a/b', 'https://a/?b', 'https://u:p@a', 'https://*.a.com'],
  AUTH_MODE: ['Hosted', 'none'],
  CORS_ORIGINS: [
    '*',
    'null',
    'https://*.example.com',
    'example.com',
    'https://a/b',
    'https://a,*',
    '/https:/',
    '^https://a$',
    'https://.*\\.a\\.com'
  ],
  COOKIE_DOMAIN: ['a b', 'https://a', '.example.com', 'a/b'],
  COOKIE_SAME_SITE: ['None', 'none', '1'],
  TRUSTED_PROXIES: [
    '1',
    '2',
    'true',
    'loopback',
    '0.0.0.0/0',
    '::/0',
    '0.0.0.0/1',
    '::/6',
    '::ffff:10.0.0.0/8',
    '::ffff:10.0.0.0/104',
    '::ffff:10.0.0.1',
    '::ffff:0:0/96',
    '0:0:0:0:0:ffff:a00:1',
    '::fffe:0:0/95',
    '10.0.0.0/33',
    '10.0.0/8',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10.0.0.0/8,1',
    'fe80::1%eth0',
    '::1/129'
  ],
  SESSION_CACHE_TTL: ['0', '-1', '1.5', '500ms', 'x'],
  SESSION_LOCAL_LEASE: ['-1', 'x', '3001', '1m'],
  OUTAGE_MODE: ['open'],
  SESSION_EXPIRES_IN: ['0', '1y'],
  BEARER_UNSIGNED: ['2', 'maybe'],
  EMAIL_FROM: ['nobody', 'a@b\r\nBcc: c@d'],
  SMTP_URL: ['https://a', 'smtp'],
  FRONTEND_URL: ['app.example.com', 'javascript:alert(1)'],
  REQUIRE_EMAIL_VERIFICATION: ['2'],
  LOGIN_RATE_LIMIT_IP: ['5', '5/60', '0/60s', '5/0s', '/60s', '5/1w', '5/60s/1'],
  WORKERS: ['0', '257', 'all'],
  LOG_LEVEL: ['verbose', 'INFO']
}

for (const [name, values] of Object.entries(REFUSED)) {
  t.test(`${name}: what it cannot be is refused (B17, B18, E15, E17, R34)`, async t => {
    for (const value of values) t.strictSame(blamed({ [name]: value }), [name], value)
  })
}

const TAKEN: [string, string, Partial<Env>][] = [
  ['PORT', '0', { port: 0 }],
  ['HOST', '::', { host: '::' }],
  ['DATABASE_URL', 'postgresql://u@h:1/d?sslmode=require', { databaseUrl: 'postgresql://u@h:1/d?sslmode=require' }],
  ['REDIS_URL', 'rediss://:p@h:6380/1', { redisUrl: 'rediss://:p@h:6380/1' }],
  ['REDIS_URL', 'redis+sentinel://u:p@h1:26379,h2/name', { redisUrl: 'redis+sentinel://u:p@h1:26379,h2/name' }],
  ['REDIS_URL', 'redis+cluster://h1:7000,h2:7001', { redisUrl: 'redis+cluster://h1:7000,h2:7001' }],
  ['BETTER_AUTH_URL', 'https://GW.example.com:443/', { baseUrl: 'https://gw.example.com' }],
  [
    'CORS_ORIGINS',
    'https://a.test, http://localhost:3000/,https://B.test',
    { corsOrigins: ['https://a.test', 'http://localhost:3000', 'https://b.test'] }
  ],
  [
    'TRUSTED_PROXIES',
    '10.0.0.0/8, 192.168.1.7,fd00::/8,::1',
    { trustedProxies: ['10.0.0.0/8', '192.168.1.7', 'fd00::/8', '::1'] }
  ],
  ['SESSION_EXPIRES_IN', '7d', { sessionExpiresInSeconds: 604_800 }],
  ['SESSION_CACHE_TTL', '60', { sessionCacheTtlSeconds: 60 }],
  ['SESSION_LOCAL_LEASE', '0', { sessionLocalLeaseMs: 0 }],
  ['SESSION_LOCAL_LEASE', '2s', { sessionLocalLeaseMs: 2000 }],
  ['OUTAGE_MODE', 'strict', { outageMode: 'strict' }],
  ['SESSION_DISABLE_REFRESH', '1', { sessionDisableRefresh: true }],
  ['SESSION_ROTATE_ON_ROLE_CHANGE', '0', { sessionRotateOnRoleChange: false }],
  ['BEARER_UNSIGNED', '1', { bearerUnsigned: true }],
  ['LOGIN_RATE_LIMIT_ACCOUNT', '20/1h', { loginLimitAccount: { max: 20, windowMs: 3_600_000 } }],
  ['FRONTEND_URL', 'https://app.test/en/', { frontendUrl: 'https://app.test/en' }],
  ['COOKIE_DOMAIN', 'localhost', { cookieDomain: 'localhost' }],
  ['WORKERS', 'auto', { workers: availableParallelism() }]
]

t.test('what is allowed is taken as it is meant', async t => {
  for (const [name, value, expected] of TAKEN) {
    const { env, problems } = read({ [name]: value })
    t.strictSame(problems, [], `${name}=${value}`)
    t.match(env, expected, `${name}=${value}`)
  }
})

t.test('a fingerprint may end sessions only where sessions are ours to end (R41)', async t => {
  const attached = { AUTH_MODE: 'attached', DATABASE_URL: 'postgres://h/d', BETTER_AUTH_SECRET: SECRET }

  t.equal(read({ SESSION_FINGERPRINT: 'revoke' }).env.sessionFingerprint, 'revoke')
  t.strictSame(blamed({ ...attached, SESSION_FINGERPRINT: 'revoke' }), ['SESSION_FINGERPRINT'])
  t.strictSame(blamed({ ...attached, SESSION_FINGERPRINT: 'log' }), [])
  t.strictSame(blamed({ SESSION_FINGERPRINT: 'on' }), ['SESSION_FINGERPRINT'])
})

t.test('SameSite=None and a cookie domain need an origin they fit (E17, R34)', async t => {
  const https = { BETTER_AUTH_URL: 'https://gw.example.com' }

  t.strictSame(blamed({ ...https, COOKIE_SAME_SITE: 'none', COOKIE_DOMAIN: '.Example.com' }), [])
  t.equal(read({ ...https, COOKIE_DOMAIN: '.Example.com' }).env.cookieDomain, '.example.com')
  t.strictSame(blamed({ ...https, COOKIE_DOMAIN: 'ample.com' }), ['COOKIE_DOMAIN'])
  t.strictSame(
    blamed({ ...PRODUCTION, BETTER_AUTH_URL: 'http://gw.example.com', ALLOW_HTTP: '1', COOKIE_SAME_SITE: 'none' }),
    ['COOKIE_SAME_SITE']
  )
})

t.test('a social provider needs both halves, mail a sender and one transport', async t => {
  const google = { GOOGLE_CLIENT_ID: 'id', GOOGLE_CLIENT_SECRET: 'secret' }

  t.strictSame(read(google).env.socialProviders, { google: { clientId: 'id', clientSecret: 'secret' } })
  t.strictSame(blamed({ GITHUB_CLIENT_ID: 'id' }), ['GITHUB_CLIENT_SECRET'])
  t.strictSame(blamed({ MICROSOFT_CLIENT_SECRET: 's' }), ['MICROSOFT_CLIENT_ID'])
  t.strictSame(blamed({ SMTP_URL: 'smtp://h' }), ['EMAIL_FROM'])
  t.strictSame(blamed({ SMTP_URL: 'smtp://h', RESEND_API_KEY: 'k', EMAIL_FROM: 'a@b' }), ['SMTP_URL'])
})

t.test('every secret is read from NAME_FILE, without the line feed an editor adds', async t => {
  const dir = t.testdir({ secret: `${SECRET}\n`, url: 'postgres://h/d', empty: '\n' })
  const file = (name: string) => join(dir, name)

  const { env, problems } = read({ BETTER_AUTH_SECRET_FILE: file('secret'), DATABASE_URL_FILE: file('url') })

  t.strictSame(problems, [])
  t.match(env, { secrets: [{ version: 1, value: SECRET }], databaseUrl: 'postgres://h/d' })
  t.match(read({ REDIS_URL_FILE: file('none') }).problems, [
    'env REDIS_URL_FILE names a file that cannot be read (ENOENT)'
  ])
  t.match(read({ REDIS_URL_FILE: file('empty') }).problems, ['env REDIS_URL_FILE names an empty file'])
  t.match(read({ BETTER_AUTH_SECRET: SECRET, BETTER_AUTH_SECRET_FILE: file('secret') }).problems, [
    /^env BETTER_AUTH_SECRET is set, and so is/
  ])
  t.strictSame(
    blamed({ ...PRODUCTION, DATABASE_URL: '', DATABASE_URL_FILE: file('none') }),
    ['DATABASE_URL_FILE'],
    'named once'
  )
})

t.test('a variable that is no secret is not read from a file', async t => {
  const dir = t.testdir({ port: '1234' })

  t.equal(read({ PORT_FILE: join(dir, 'port') }).env.port, 8080)
})

t.test('gateway.yaml in the working directory is found, GATEWAY_CONFIG goes before it', async t => {
  const before = process.cwd()
  t.teardown(() => process.chdir(before))
  process.chdir(t.testdir({}))

  t.equal(read({}).env.gatewayFile, null)
  writeFileSync('gateway.yaml', '')
  t.equal(read({}).env.gatewayFile, 'gateway.yaml')
  t.equal(read({ GATEWAY_CONFIG: '/etc/gateway.yaml' }).env.gatewayFile, '/etc/gateway.yaml')
})
