/** What an attacker, or an unlucky user, can get into the log: no second line, no colour, no secret. */
import t from 'tap'
import { person, startAttack } from '../support/attack.js'
import { get, PASSWORD, post, SECRET } from '../support/gateway.js'

const { gateway, send, sendBytes, user, admin } = await startAttack(t, { env: { LOG_LEVEL: 'trace' } })

/** Lines written since, each as the text it is in the file; less what the gateway says of itself in between. */
async function linesOf(attack: () => Promise<unknown>): Promise<string[]> {
  const before = gateway.log.length
  await attack()
  const own = new Set<unknown>(['revocation', 'cache'])
  return gateway.log.slice(before).flatMap(line => (own.has(line['event']) ? [] : [JSON.stringify(line)]))
}

t.test('a request is one line of bounded length, with nothing to act on in it (J05, ASVS 16.4.1)', async t => {
  const fakes = ['%0a{"level":60}', '%1b[2J', '"}{"level":60,"x":"', '%0d%0aX', '\\u000a', '%E2%80%A8', '%C2%9B2J']
  const targets = [...fakes.map(fake => `/api/a/${fake}`), `/api/a/${'x'.repeat(8000)}`, `/api/a/${'"'.repeat(8000)}`]
  for (const target of targets) {
    const lines = await linesOf(() => send(`GET ${target}`, ['User-Agent: \x9b2J"}', 'Referer: {"level":60}']))
    t.equal(lines.length, 1, target)
    t.notMatch(lines[0], /[\p{Cc}\p{Zl}\p{Zp}]/u, target)
    t.ok((lines[0]?.length ?? 0) <= 8192, `${target.slice(0, 40)}: ${lines[0]?.length} characters`)
  }
})

t.test('names from outside are believed only in their form', async t => {
  const claims = ['X-Request-ID: fake\tid', 'X-Request-ID: aaaaaaaa-fake', 'X-Forwarded-For: 6.6.6.6 {"level":60}']
  for (const claim of claims) {
    const [line] = await linesOf(() => send('GET /api/a/x', [claim]))
    t.notMatch(line, /fake|6\.6\.6\.6|level":60/, claim)
  }
  t.strictSame(
    await linesOf(() => sendBytes('GET /\x1b[2J HTTP/1.1\r\n\r\n')),
    [],
    'what the parser refuses is no request'
  )
})

t.test('a sign-up with a hostile name or address writes neither', async t => {
  const body = { name: '\n{"level":60}', email: 'evil"\n@example.com', password: PASSWORD }
  const lines = await linesOf(() => post(gateway, '/api/auth/sign-up/email', body))
  t.notMatch(lines.join('\n'), /level":60|level\\":60|evil/)
})

t.test('a whole day of requests leaves no secret in the log (J04, ASVS 16.2.5)', async t => {
  const leaver = await person(gateway)
  const wrong = 'hunter2-the-wrong-password'
  await post(gateway, '/api/auth/sign-in/email', { email: user.email, password: wrong })
  await post(gateway, '/api/auth/sign-in/email', { email: 'nobody-at-all@example.com', password: wrong })
  await post(gateway, '/api/auth/request-password-reset', { email: user.email })
  await post(gateway, '/api/auth/reset-password', { token: 'reset-token-in-a-body', newPassword: wrong })
  await get(gateway, '/api/auth/verify-email?token=verify-token-in-a-query')
  await get(gateway, '/api/auth/token', { cookie: user.cookie })
  await post(
    gateway,
    '/api/auth/change-password',
    { currentPassword: wrong, newPassword: PASSWORD },
    { cookie: user.cookie }
  )
  await post(gateway, '/api/auth/revoke-session', { token: leaver.bearer.split('.')[0] }, { cookie: leaver.cookie })
  await post(gateway, '/api/auth/admin/set-role', { userId: user.id, role: 'user' }, { cookie: admin.cookie })

  for (const path of [
    '/api/a/x',
    '/api/b/x',
    '/api/strict/x',
    '/optional/x',
    '/public/x',
    '/nothing',
    '/api/a//x',
    '/api/a/%zz'
  ]) {
    await send(`GET ${path}?token=${user.bearer}`, [user.cookieLine])
    await send(`GET ${path}`, [`Authorization: Bearer ${admin.bearer}`, 'Proxy-Authorization: Basic cHJveHktc2VjcmV0'])
    await send(`GET ${path}#${user.bearer}`, [`Cookie: better-auth.session_token=${leaver.bearer}x`])
  }
  await send(`GET http://name:url-password@localhost/x?${user.bearer}`)
  await sendBytes(`GET /api/a/x HTTP/1.1\r\nHost: x\r\nCookie: ${user.cookie}\x00\r\n\r\n`)
  for (const fault of ['reset', 'hang-not', 'status/500']) await send(`GET /api/a/__fault/${fault}`, [user.cookieLine])

  await gateway.redis?.stop()
  await send('GET /api/a/x', [user.cookieLine])
  await gateway.postgres.stop()
  await send('GET /api/a/x', [user.cookieLine])
  await send('GET /api/strict/x', [`Authorization: Bearer ${admin.bearer}`])
  await post(gateway, '/api/auth/sign-in/email', { email: user.email, password: PASSWORD })
  await post(gateway, '/api/auth/sign-out', {}, { cookie: user.cookie })

  // Outside production the links of mails go to the log; that is what this one event is for.
  const text = gateway.log
    .filter(({ event }) => event !== 'mail.link')
    .map(line => JSON.stringify(line))
    .join('\n')
  const assertion = gateway.upstream.received.findLast(({ headers }) => headers['x-gateway-assertion'])?.headers
  const secrets: Record<string, unknown> = {
    'token of a session': user.bearer.split('.')[0],
    'token of an admin': admin.bearer.split('.')[0],
    'revoked token': leaver.bearer.split('.')[0],
    signature: user.bearer.split('.')[1],
    'signature, encoded': user.cookie.split('.').at(-1),
    'e-mail': user.email,
    'unknown e-mail': 'nobody-at-all',
    password: PASSWORD,
    'wrong password': wrong,
    'reset token': 'reset-token-in-a-body',
    'verification token': 'verify-token-in-a-query',
    'password in a URL': 'url-password',
    'proxy credential': 'cHJveHktc2VjcmV0',
    'internal key': 'the-internal-key',
    assertion: assertion?.['x-gateway-assertion'],
    'secret of the gateway': SECRET,
    'database password': new URL(gateway.postgres.url).password
  }
  t.ok(text.length > 10_000, `${text.length} characters were looked through`)
  for (const [name, secret] of Object.entries(secrets)) {
    t.ok(String(secret).length > 8, `${name} is known to the test`)
    t.notOk(text.includes(String(secret)), name)
  }
  t.notMatch(text, /@example\.com|eyJ[\w-]+\.eyJ/, 'no e-mail and no JWT of any kind')
  t.notMatch(text, /"level":60/, 'nothing of it was fatal')
})
