/**
 * A session cookie that was stolen and is used from elsewhere (R41). The addresses are those a trusted proxy in front
 * tells: the tests come from one machine.
 */
import t, { type Test } from 'tap'
import { eventually } from '../support/eventually.js'
import { PASSWORD, startGateway, type TestGateway } from '../support/gateway.js'

const CHROME = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36'
const NEWER = CHROME.replace('142', '143')
const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0'
const [HOME, TRAIN, ELSEWHERE] = ['203.0.113.7', '198.51.100.20', '192.0.2.66']

interface From {
  readonly agent?: string
  readonly at?: string
  readonly cookie?: string
}

function ask({ origin, port }: TestGateway, path: string, from: From, body?: object): Promise<Response> {
  return fetch(`http://localhost:${port}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      origin,
      'user-agent': from.agent ?? CHROME,
      'x-forwarded-for': from.at ?? HOME,
      ...(from.cookie !== undefined && { cookie: from.cookie }),
      ...(body !== undefined && { 'content-type': 'application/json' })
    },
    ...(body !== undefined && { body: JSON.stringify(body) })
  })
}

let people = 0

/** Signed up with Chrome at home. */
async function signedUp(gateway: TestGateway): Promise<{ id: string; cookie: string; token: string }> {
  const credentials = { name: 'Ada', email: `ada${++people}@example.com`, password: PASSWORD }
  const answer = await ask(gateway, '/api/auth/sign-up/email', {}, credentials)
  const { user, token } = (await answer.json()) as { user: { id: string }; token: string }
  const [line = ''] = answer.headers.getSetCookie()
  return { id: user.id, token, cookie: line.slice(0, line.indexOf(';')) }
}

const start = (scope: Test, mode: string, env: Readonly<Record<string, string>> = {}) =>
  startGateway(scope, { env: { SESSION_FINGERPRINT: mode, TRUSTED_PROXIES: '127.0.0.1,::1', ...env } })
const decisions = ({ log }: TestGateway) => log.filter(({ event }) => event === 'session.fingerprint')
const rows = ({ sql }: TestGateway, userId: string) => sql`select from auth.session where user_id = ${userId}`

t.test('revoke: another browser on another network ends the session for everybody', async t => {
  const gateway = await start(t, 'revoke')
  const other = await startGateway(t, {
    postgres: gateway.postgres,
    redis: gateway.redis ?? false,
    env: { SESSION_FINGERPRINT: 'revoke', TRUSTED_PROXIES: '127.0.0.1,::1', BETTER_AUTH_URL: gateway.origin }
  })
  const status = async (from: From, node = gateway) => (await ask(node, '/api/a/x', from)).status

  t.test('an honest user on the move is let in', async t => {
    const { id, cookie } = await signedUp(gateway)
    for (const [agent, at] of [
      [CHROME, HOME],
      [NEWER, HOME],
      [CHROME, TRAIN],
      [NEWER, '2001:db8:5::1'],
      [FIREFOX, HOME]
    ] as const) {
      t.equal(await status({ agent, at, cookie }), 200, `${agent.slice(-20)} at ${at}`)
    }
    t.equal((await rows(gateway, id)).length, 1)
    t.match(decisions(gateway), [
      { browserWas: 'chrome', browserIs: 'firefox', networkChanged: false, action: 'logged', userId: id }
    ])
  })

  t.test('a thief is not, on a node that had the session in memory, and neither is the owner afterwards', async t => {
    const { id, cookie, token } = await signedUp(gateway)
    for (let i = 0; i < 5; i++) for (const node of [gateway, other]) t.equal(await status({ cookie }, node), 200)
    const forwarded = gateway.upstream.received.length

    const stolen = { agent: 'curl/8.5.0', at: ELSEWHERE, cookie }
    const refused = await ask(other, '/api/a/x', stolen)
    t.equal(refused.status, 401)
    t.match(await refused.json(), { code: 'INVALID_SESSION' })
    t.match(refused.headers.get('www-authenticate'), 'error="invalid_token"')
    t.same(await Promise.all(Array.from({ length: 10 }, () => status(stolen))), Array(10).fill(401))

    t.equal(gateway.upstream.received.length, forwarded, 'no upstream was asked')
    t.equal((await rows(gateway, id)).length, 0)
    await eventually(async () => (await status({ cookie })) === 401, 'the owner has to sign in again')
    t.match(decisions(other).at(-1), { userId: id, browserIs: 'curl', networkChanged: true, action: 'revoked' })
    await eventually(() => gateway.log.some(({ cause }) => cause === 'fingerprint'), 'told as the cause')
    t.match(
      other.log.find(line => line['status'] === 401),
      { reason: 'fingerprint_cookie', granted: false }
    )
    t.notOk(JSON.stringify([gateway.log, other.log]).includes(token))
  })

  t.test('on an optional route the thief is nobody', async t => {
    const { id, cookie } = await signedUp(gateway)
    t.equal((await ask(gateway, '/optional/x', { agent: 'curl/8.5.0', at: ELSEWHERE, cookie })).status, 200)

    t.equal(gateway.upstream.received.at(-1)?.headers['x-user-id'], undefined)
    t.equal((await rows(gateway, id)).length, 0)
  })

  t.test('the door to Better Auth is no way around it', async t => {
    for (const [path, body] of [
      ['/api/auth/list-sessions', undefined],
      ['/api/auth/token', undefined],
      ['/api/auth/update-user', { name: 'Eve' }]
    ] as const) {
      const { id, cookie } = await signedUp(gateway)
      const answer = await ask(gateway, path, { agent: 'curl/8.5.0', at: ELSEWHERE, cookie }, body)
      t.equal(answer.status, 401, path)
      t.equal((await rows(gateway, id)).length, 0)
    }
    const { cookie } = await signedUp(gateway)
    const look = await ask(gateway, '/api/auth/get-session', { agent: 'curl/8.5.0', at: ELSEWHERE, cookie })
    t.equal(await look.json(), null)
  })

  t.test('while the session cannot be ended, the answer is a 503 and nothing is forwarded', async t => {
    const { id, cookie } = await signedUp(gateway)
    t.equal(await status({ cookie }), 200)
    await gateway.sql`revoke delete on auth.session from gateway`
    await gateway.sql`alter table auth.session owner to postgres`
    await gateway.sql`grant select, insert, update on auth.session to gateway`
    const forwarded = gateway.upstream.received.length

    t.equal(await status({ agent: 'curl/8.5.0', at: ELSEWHERE, cookie }), 503)
    t.equal(gateway.upstream.received.length, forwarded)
    await gateway.sql`grant delete on auth.session to gateway`
    t.equal(await status({ agent: 'curl/8.5.0', at: ELSEWHERE, cookie }), 401)
    t.equal((await rows(gateway, id)).length, 0)
  })
})

t.test('a sign-out that cannot be told from a stranger’s for want of PostgreSQL is done later', async t => {
  const gateway = await start(t, 'revoke', { SESSION_ROTATE_ON_ROLE_CHANGE: '0' })
  const { id, cookie } = await signedUp(gateway)
  await gateway.postgres.stop()
  t.equal((await ask(gateway, '/api/auth/sign-out', { cookie }, {})).status, 503)
  await gateway.postgres.restart()
  await eventually(async () => (await rows(gateway, id)).length === 0, 'it has come to pass', 15_000)
})

t.test('log: everybody is let in, and the log says who it was', async t => {
  const gateway = await start(t, 'log')
  const { id, cookie } = await signedUp(gateway)
  for (let i = 0; i < 5; i++) {
    t.equal((await ask(gateway, '/api/a/x', { agent: 'curl/8.5.0', at: ELSEWHERE, cookie })).status, 200)
  }

  t.match(decisions(gateway), [{ userId: id, browserIs: 'curl', networkChanged: true, action: 'logged' }])
  t.equal(decisions(gateway).length, 1)
  t.equal((await rows(gateway, id)).length, 1)
})

t.test('off, as it is by default: nothing is compared', async t => {
  const gateway = await startGateway(t, { env: { TRUSTED_PROXIES: '127.0.0.1,::1' } })
  const { cookie } = await signedUp(gateway)

  t.equal((await ask(gateway, '/api/a/x', { agent: 'curl/8.5.0', at: ELSEWHERE, cookie })).status, 200)
  t.same(decisions(gateway), [])
})

t.test('an attached gateway may not delete sessions, so it cannot be told to', async t => {
  const refusal = await startGateway(t, { env: { SESSION_FINGERPRINT: 'revoke', AUTH_MODE: 'attached' } }).catch(
    (error: unknown) => error
  )

  t.match(refusal, { problems: [{ place: 'env SESSION_FINGERPRINT' }] })
})
