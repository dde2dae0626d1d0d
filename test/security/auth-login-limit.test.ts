/** Guessing passwords: counted per address and per account, on every node, whatever the client writes. */
import { request } from 'node:http'
import t from 'tap'
import { RedisLink } from '../../src/data/redis.js'
import { sharedCounter } from '../../src/data/shared-counter.js'
import { APP_ORIGIN, type AuthServer, type AuthServerOptions, startAuthServer } from '../support/auth-server.js'
import { type Answer, Browser } from '../support/browser.js'
import { startPostgres } from '../support/postgres.js'
import { startRedis } from '../support/redis.js'

const postgres = await startPostgres(t)
const LIMITS = { loginLimitIp: { max: 5, windowMs: 60_000 }, loginLimitAccount: { max: 10, windowMs: 900_000 } }
const SIGN_IN = '/api/auth/sign-in/email'
const password = 'wrong horse battery'
let people = 0

type Scope = Parameters<typeof startAuthServer>[0]

function start(scope: Scope, { env, ...options }: AuthServerOptions = {}): Promise<AuthServer> {
  return startAuthServer(scope, postgres, { ...options, env: { ...LIMITS, ...env } })
}

/** Behind a proxy of ours, so that a test can come from any address. */
const BEHIND_PROXY = { trustedProxies: ['127.0.0.1'] }

function from(address: string): Record<string, string> {
  return { 'x-forwarded-for': address }
}

function guess(server: AuthServer, headers: Record<string, string> = {}, email = `guess-${++people}@example.com`) {
  return new Browser(server.url, APP_ORIGIN).post(SIGN_IN, { email, password }, headers)
}

async function guesses(server: AuthServer, headers: readonly Record<string, string>[]): Promise<number[]> {
  const statuses: number[] = []
  for (const each of headers) statuses.push((await guess(server, each)).status)
  return statuses
}

function times(count: number, headers: Record<string, string> = {}): Record<string, string>[] {
  return Array.from({ length: count }, () => headers)
}

const five401 = [401, 401, 401, 401, 401]

t.test('the sixth guess of a minute is a 429 that says when to come back (R82, F14)', async t => {
  const server = await start(t)
  const answers: Answer[] = []
  for (let i = 0; i < 6; i++) answers.push(await guess(server))

  const [first, , , , , last] = answers
  t.strictSame(
    answers.map(({ status }) => status),
    [...five401, 429]
  )
  t.match(last?.json, { success: false, code: 'RATE_LIMITED', requestId: String })
  t.match(first?.headers.get('ratelimit-policy'), '"ip";q=5;w=60, "account";q=10;w=900')
  t.match(first?.headers.get('ratelimit'), /^"ip";r=4;t=\d+, "account";r=9;t=\d+$/)
  t.match(last?.headers.get('ratelimit'), /^"ip";r=0;t=\d+$/)
  const seconds = Number(last?.headers.get('retry-after'))
  t.ok(seconds > 0 && seconds <= 60, `Retry-After: ${seconds}`)
  t.strictSame(server.limited, ['login_ip'])
})

t.test('a client that writes its own X-Forwarded-For is still one client (F02, F04)', async t => {
  const server = await start(t)
  const spoofs = ['1.1.1.1', '2.2.2.2', '3.3.3.3, 4.4.4.4', '5.5.5.5', '6.6.6.6', '7.7.7.7']

  const statuses = await guesses(
    server,
    spoofs.map(value => ({ ...from(value), 'x-real-ip': value, forwarded: `for=${value}` }))
  )

  t.strictSame(statuses, [...five401, 429])
})

t.test(
  'behind a trusted proxy clients are counted apart, by the right-most address that is not ours (F03)',
  async t => {
    const server = await start(t, { env: BEHIND_PROXY })

    t.strictSame(await guesses(server, times(6, from('203.0.113.1'))), [...five401, 429])
    t.strictSame(await guesses(server, [from('203.0.113.2')]), [401], 'another client')
    t.strictSame(await guesses(server, [from('8.8.8.8, 203.0.113.1')]), [429], 'the left side is anybody’s claim')
  }
)

t.test(
  'all addresses of one IPv6 /64 are one client, and an IPv4 address is one in either spelling (F05, F06)',
  async t => {
    const server = await start(t, { env: BEHIND_PROXY })
    const oneNetwork = Array.from({ length: 6 }, (_, i) => from(`2001:db8:1:2::${i + 1}`))

    t.strictSame(await guesses(server, oneNetwork), [...five401, 429])
    t.strictSame(await guesses(server, [from('2001:db8:1:3::1')]), [401], 'another network')
    const mixed = ['1.2.3.4', '::ffff:1.2.3.4', '1.2.3.4', '::ffff:1.2.3.4', '1.2.3.4', '::ffff:1.2.3.4']
    t.strictSame(await guesses(server, mixed.map(from)), [...five401, 429])
  }
)

t.test(
  'one account is guessed at ten times, from however many addresses and in whatever spelling (F07, F08)',
  async t => {
    const server = await start(t, { env: BEHIND_PROXY })
    const owner = new Browser(server.url, APP_ORIGIN)
    await owner.post(
      '/api/auth/sign-up/email',
      { email: 'ada@example.com', password: 'correct horse', name: 'Ada' },
      from('198.51.100.1')
    )
    const spellings = ['ada@example.com', 'ADA@example.com', ' ada@example.com', 'ada@example。com', 'ada＠example.com']
    const statuses: number[] = []

    for (let i = 0; i < 14; i++) {
      statuses.push((await guess(server, from(`203.0.113.${i}`), spellings[i % spellings.length])).status)
    }

    // The sign-up was the first of the ten.
    t.strictSame(
      statuses.slice(0, 9).filter(status => status === 429),
      []
    )
    t.strictSame(statuses.slice(9), [429, 429, 429, 429, 429])
    t.match((await owner.get('/api/auth/get-session', from('198.51.100.1'))).json, {
      user: { email: 'ada@example.com' }
    })
    t.equal((await guess(server, from('203.0.113.200'), 'grace@example.com')).status, 401, 'nobody else is locked out')
  }
)

t.test('a form counts like JSON, and a byte order mark hides nothing', async t => {
  const server = await start(t, { env: { ...BEHIND_PROXY, loginLimitAccount: { max: 3, windowMs: 900_000 } } })
  const email = 'form@example.com'
  const bodies: readonly (readonly [string, string])[] = [
    ['application/x-www-form-urlencoded', new URLSearchParams({ email, password }).toString()],
    ['application/json; charset=utf-8', `\uFEFF${JSON.stringify({ email, password })}`],
    [
      'Application/JSON',
      JSON.stringify({ email: 'other@example.com', password })
        .replace('{', `{"email":"x@y.z",`)
        .replace('other@example.com', email)
    ],
    ['application/json', JSON.stringify({ email, password })]
  ]
  const statuses: number[] = []
  for (const [i, [type, body]] of bodies.entries()) {
    const headers = { 'content-type': type, ...from(`203.0.113.${i}`) }
    statuses.push((await new Browser(server.url, APP_ORIGIN).post(SIGN_IN, body, headers)).status)
  }

  t.strictSame(statuses, [401, 401, 401, 429])
})

t.test('every spelling of the path is the same bucket or no path at all (F10)', async t => {
  const server = await start(t)
  const spellings = [
    '/api/auth/sign-in/email',
    '/%61pi/auth/sign-in/email',
    '/api/auth/sign%2Din/%65mail',
    '/api/auth/signin',
    '/api/auth/sign-in/email?x=1',
    '/api/auth/sign-in/email'
  ]
  const statuses: number[] = []
  for (const path of spellings) {
    statuses.push(
      (await new Browser(server.url, APP_ORIGIN).post(path, { email: `${++people}@x.test`, password })).status
    )
  }
  t.strictSame(statuses, [...five401, 429])

  for (const path of [
    '//api/auth/sign-in/email',
    '/api/auth//sign-in/email',
    '/api/auth/x/../sign-in/email',
    '/api/auth/sign-in%2Femail',
    '/API/auth/sign-in/email'
  ]) {
    const { status } = await raw(server, path)
    t.ok([400, 404].includes(status), `${path}: ${status}`)
  }
  t.equal(
    (await new Browser(server.url, APP_ORIGIN).post('/api/auth/sign-in/email/', { email: 'a@x.test', password }))
      .status,
    429,
    'trailing slash'
  )
})

t.test('reading the path consumes nothing and opens nothing (F17)', async t => {
  const server = await start(t)
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT']) {
    for (let i = 0; i < 3; i++) await fetch(server.url + SIGN_IN, { method, headers: { origin: APP_ORIGIN } })
  }

  t.strictSame(await guesses(server, times(6)), [...five401, 429])
  const answer = await fetch(server.url + SIGN_IN, { headers: { origin: APP_ORIGIN } })
  t.equal(answer.status, 404)
  t.equal((await guess(server, { 'x-http-method-override': 'GET' })).status, 429)
})

t.test('every door of contract section 7 is behind the limit', async t => {
  const doors = [
    '/sign-in/email',
    '/sign-in/social',
    '/sign-up/email',
    '/request-password-reset',
    '/forget-password',
    '/reset-password',
    '/two-factor/verify-totp',
    '/send-verification-email',
    '/signin',
    '/signup'
  ]

  const server = await start(t, { env: { ...BEHIND_PROXY, loginLimitIp: { max: 1, windowMs: 60_000 } } })
  for (const [i, door] of doors.entries()) {
    const browser = new Browser(server.url, APP_ORIGIN)
    await browser.post(`/api/auth${door}`, { email: `${i}@x.test` }, from(`203.0.113.${i}`))
    t.equal((await browser.post(`/api/auth${door}`, {}, from(`203.0.113.${i}`))).status, 429, door)
  }
})

t.test('over the limit the body is not read', async t => {
  const server = await start(t, { env: { loginLimitIp: { max: 1, windowMs: 60_000 } } })
  await guess(server)

  const answer = await raw(server, SIGN_IN, { endless: true })

  t.equal(answer.status, 429, 'answered although the body never ends')
})

t.test('an unknown account and a wrong password get the same answer (F16)', async t => {
  const server = await start(t, { env: { loginLimitIp: { max: 100, windowMs: 60_000 } } })
  const email = 'known@example.com'
  await new Browser(server.url, APP_ORIGIN).post('/api/auth/sign-up/email', {
    email,
    password: 'correct horse',
    name: 'K'
  })

  const [wrong, unknown] = [await guess(server, {}, email), await guess(server, {}, 'unknown@example.com')]

  t.strictSame([unknown.status, unknown.text], [wrong.status, wrong.text])
})

t.test('two gateways share one budget (F11), and the limit holds while Redis is gone and after', async t => {
  const redis = await startRedis(t)
  const [a, b] = [await withRedis(t, redis.url), await withRedis(t, redis.url)]

  t.strictSame(await guesses(a, times(3)), [401, 401, 401])
  t.strictSame(await guesses(b, times(3)), [401, 401, 429], 'the second node goes on counting')
  t.strictSame(await guesses(a, [{}]), [429])

  await redis.kill9()
  const gone = await guesses(b, times(4))
  t.notOk(
    gone.some(status => status >= 500),
    'no error'
  )
  t.equal(gone.at(-1), 429, 'and not unlimited')
  t.strictSame(await guesses(a, times(2)), [401, 429], 'what a node counted itself it still knows')
})

t.test('a frozen Redis delays a guess by its command timeout and lifts no limit', async t => {
  const redis = await startRedis(t)
  const server = await withRedis(t, redis.url)
  redis.pause()
  t.teardown(() => redis.resume())
  const askedAt = performance.now()

  t.strictSame(await guesses(server, times(6)), [...five401, 429])

  t.ok(performance.now() - askedAt < 5_000)
})

t.test('the counters in Redis name nobody and end by themselves', async t => {
  const redis = await startRedis(t)
  const link = new RedisLink(redis.url)
  t.teardown(() => link.close())
  const server = await withRedis(t, redis.url)
  await guess(server, {}, 'ada@example.com')

  const keys = await link.client.keys('*')
  const lives = await Promise.all(keys.map(key => link.client.pttl(key)))

  t.equal(keys.length, 2)
  t.notMatch(keys.join(' '), /ada|example/)
  t.ok(
    lives.every(life => life > 0 && life <= 900_000),
    lives.join(' ')
  )
})

async function withRedis(scope: Scope, url: string): Promise<AuthServer> {
  const link = new RedisLink(url)
  scope.teardown(() => link.close())
  while (link.run === '') await new Promise(resolve => setImmediate(resolve))
  return start(scope, { sharedCounter: sharedCounter(link) })
}

/** As written: fetch would tidy the path up, and wait for the end of a body that has none. */
function raw(server: AuthServer, path: string, { endless = false } = {}): Promise<{ status: number }> {
  return new Promise((resolve, reject) => {
    const { port } = new URL(server.url)
    const headers = { 'content-type': 'application/json', origin: APP_ORIGIN, 'transfer-encoding': 'chunked' }
    const sent = request({ host: '127.0.0.1', port, path, method: 'POST', headers }, response => {
      response.resume().on('end', () => {
        resolve({ status: response.statusCode ?? 0 })
        sent.destroy()
      })
    })
    sent.on('error', reject).write('{')
    if (!endless) sent.end('}')
  })
}
