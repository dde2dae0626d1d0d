/**
 * What operators see: the private listener, the log line, the metrics. Names are the contract's (section 8, R68,
 * R87-R90).
 */
import t from 'tap'
import { eventually } from '../support/eventually.js'
import { get, post, signUp, startGateway, type TestGateway } from '../support/gateway.js'

const ops = (gateway: TestGateway, path: string) => fetch(`http://127.0.0.1:${gateway.opsPort}${path}`)

t.test('health: a bare word outside, the parts inside', async t => {
  const gateway = await startGateway(t)

  for (const path of ['/livez', '/readyz']) {
    const outside = await get(gateway, path)
    t.equal(outside.status, 200)
    t.match(await outside.text(), /^\w+$/)
    t.equal((await fetch(gateway.origin + path, { method: 'HEAD' })).status, 200, `HEAD ${path}`)
  }
  const inside = async () => (await ops(gateway, '/readyz')).json() as Promise<{ cache: { ok: boolean } }>
  await eventually(async () => (await inside()).cache.ok, 'PostgreSQL and Redis have been compared')
  t.match(await inside(), {
    ready: true,
    draining: false,
    postgres: { ok: true },
    redis: { ok: true, detail: 'connected' },
    cache: { ok: true, detail: 'current' },
    signingKey: { ok: true, detail: 'ready' }
  })
  t.equal((await get(gateway, '/metrics')).status, 404, 'metrics are not for the public')
})

t.test('one line a request with the facts of the decision, and none of the secrets', async t => {
  const gateway = await startGateway(t)
  const ada = await signUp(gateway)
  await get(gateway, '/api/a/x?token=in-the-query', { cookie: ada.cookie })
  await get(gateway, '/api/a/admin/x', { cookie: ada.cookie })
  await get(gateway, '/api/a/none')

  const lines = gateway.log.filter(line => String(line['path']).startsWith('/api/a/'))
  t.equal(lines.length, 3)
  t.match(lines[0], {
    requestId: /^[0-9a-f-]{36}$/,
    method: 'GET',
    path: '/api/a/x',
    route: 'a',
    status: 200,
    granted: true,
    reason: null,
    source: 'postgres',
    userId: ada.id,
    authMs: Number,
    upstreamMs: Number,
    totalMs: Number,
    ip: /^(127\.0\.0\.1|::1)$/
  })
  t.match(lines[1], { route: 'a-admin', status: 403, granted: false, reason: 'insufficient_role', userId: ada.id })
  t.match(lines[2], { status: 401, granted: false, reason: 'authentication_required', source: 'none', userId: null })
  const text = JSON.stringify(gateway.log)
  for (const secret of [ada.email, ada.bearer.slice(0, 32), 'in-the-query', 'correct horse', 'the-internal-key']) {
    t.notOk(text.includes(secret), `no ${secret}`)
  }
})

t.test('a line of /api/auth/* names the caller that Better Auth has looked up, and nobody else', async t => {
  const gateway = await startGateway(t)
  const ada = await signUp(gateway)
  const asked: readonly (readonly [
    path: string,
    ask: () => Promise<Response>,
    source: string,
    userId: string | null
  ])[] = [
    ['get-session', () => get(gateway, '/api/auth/get-session', { cookie: ada.cookie }), 'postgres', ada.id],
    ['list-sessions', () => get(gateway, '/api/auth/list-sessions', { cookie: ada.cookie }), 'postgres', ada.id],
    ['get-session', () => get(gateway, '/api/auth/get-session'), 'none', null],
    [
      'sign-in/email',
      () => post(gateway, '/api/auth/sign-in/email', { email: ada.email, password: 'no' }),
      'none',
      null
    ],
    ['sign-out', () => post(gateway, '/api/auth/sign-out', {}, { cookie: ada.cookie }), 'postgres', ada.id],
    ['get-session', () => get(gateway, '/api/auth/get-session', { cookie: ada.cookie }), 'postgres', null]
  ]
  const lines = () => gateway.log.filter(line => 'totalMs' in line && String(line['path']).startsWith('/api/auth/'))
  for (const [i, [path, ask]] of asked.entries()) {
    await ask()
    await eventually(() => lines().length === i + 2, `the line of ${path}, after that of the sign-up`)
  }
  const [signedUp, ...others] = lines()
  t.match(signedUp, { path: '/api/auth/sign-up/email', source: 'none', userId: ada.id }, 'whom it became')
  for (const [i, [path, , source, userId]] of asked.entries()) {
    t.match(others[i], { path: `/api/auth/${path}`, source, userId })
  }
})

t.test('auth events are logged and counted', async t => {
  const gateway = await startGateway(t)
  const ada = await signUp(gateway)
  await post(gateway, '/api/auth/sign-in/email', { email: ada.email, password: 'wrong-password' })
  await post(gateway, '/api/auth/sign-out', {}, { cookie: ada.cookie })

  const events = gateway.log.filter(line => 'outcome' in line).map(line => `${line['event']} ${line['outcome']}`)
  t.strictSame(events, ['auth.sign_up success', 'auth.sign_in failure', 'auth.sign_out success'])
})

t.test('a target that is away is counted, and so is a call made again', async t => {
  const gateway = await startGateway(t, {
    redis: false,
    yaml: `
upstreams: { a: { targets: ['http://127.0.0.1:1', $UPSTREAM] }, b: { targets: [$UPSTREAM], retries: 1 } }
routes:
  - { name: a, path: /a, upstream: a, access: public }
  - { name: b, path: /b/*, stripPrefix: /b, upstream: b, access: public }
`
  })

  for (let i = 0; i < 4; i++) t.equal((await get(gateway, '/a')).status, 200)
  t.equal((await get(gateway, '/b/__fault/reset')).status, 502)

  const text = await (await ops(gateway, '/metrics')).text()
  for (const sample of [
    'upstream_retries_total{upstream="b"} 1',
    'upstream_ejections_total{upstream="a"} 1',
    'upstream_duration_seconds_count{upstream="a"} 4',
    'breaker_state{dependency="upstream:a"} 0.5'
  ]) {
    t.ok(text.includes(`session_gateway_${sample}`), sample)
  }
})

t.test('every metric of the contract is there', async t => {
  const gateway = await startGateway(t)
  const ada = await signUp(gateway)
  await get(gateway, '/api/a/x', { cookie: ada.cookie })
  await get(gateway, '/api/a/x', { cookie: ada.cookie })
  await gateway.sql`delete from auth.session`
  await post(gateway, '/api/auth/sign-out', {}, { cookie: ada.cookie })

  const text = await (await ops(gateway, '/metrics')).text()
  for (const sample of [
    'requests_total{route="a",method="GET",status="200"} 2',
    'request_duration_seconds_count{route="a"} 2',
    'session_lookups_total{source="postgres",outcome="live"} 1',
    'session_lookups_total{source="local",outcome="live"} 1',
    'session_lookup_duration_seconds_count{source="local"} 1',
    'auth_events_total{event="auth.sign_up",outcome="success"} 1',
    'upstream_duration_seconds_count{upstream="a"} 2',
    'breaker_state{dependency="postgres"} 0',
    'breaker_state{dependency="redis"} 0',
    'breaker_state{dependency="postgres_feed"} 0',
    'outbox_rows 1',
    'lease_wait_seconds_count{outcome="alone"} ',
    'postgres_pool_connections{state="busy"} 0',
    'revocations_total{cause="deleted"} 1',
    'revocation_lag_seconds_count 1'
  ]) {
    t.ok(text.includes(`session_gateway_${sample}`), sample)
  }
  for (const name of ['upstream_errors_total', 'rate_limited_total']) t.match(text, `# TYPE session_gateway_${name} `)
  for (const name of ['heartbeat_age_seconds', 'poll_age_seconds']) {
    const [, seconds] = new RegExp(`^session_gateway_${name} (.+)$`, 'm').exec(text) ?? []
    t.ok(Number(seconds) >= 0 && Number(seconds) < 3, `${name} ${seconds}`)
  }
  t.match(text, 'process_resident_memory_bytes')
})
