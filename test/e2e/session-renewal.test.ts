/**
 * Use extends a session, as in Better Auth: one write for all gateways, and the cookie with its new life (R29, R30).
 */
import t from 'tap'
import { eventually } from '../support/eventually.js'
import { get, post, SECRET, signIn, signUp, startGateway, type TestGateway } from '../support/gateway.js'

const WEEK = 604_800
const DAY = 86_400

/** So old, and so long to live from now on, as if it had been made then. */
async function age({ sql }: TestGateway, bearer: string, ageSeconds: number, leftSeconds: number): Promise<void> {
  const token = bearer.slice(0, bearer.indexOf('.'))
  await sql`update auth.session set created_at = now() - ${ageSeconds} * interval '1 second',
    expires_at = now() + ${leftSeconds} * interval '1 second' where token = ${token}`
}

async function secondsLeft({ sql }: TestGateway, bearer: string): Promise<number> {
  const token = bearer.slice(0, bearer.indexOf('.'))
  const [row] = await sql`select extract(epoch from expires_at - now())::float8 as left from auth.session
    where token = ${token}`
  return row?.left
}

/** Every UPDATE that moves an end from now on. */
async function watchExtensions({ sql }: TestGateway): Promise<() => Promise<number>> {
  await sql.unsafe(`create table public.extensions (token text);
    grant all on public.extensions to public;
    create function public.note() returns trigger language plpgsql as
      $$begin insert into public.extensions values (old.token); return null; end$$;
    create trigger note after update of expires_at on auth.session for each row execute function public.note()`)
  return async () => (await sql`select from public.extensions`).length
}

function sessionCookies(response: Response): string[] {
  return response.headers.getSetCookie().filter(line => line.includes('session_token'))
}

t.test('two gateways, 60 requests, one session that is due: one UPDATE, and the cookie as at sign-in', async t => {
  const one = await startGateway(t)
  const two = await startGateway(t, { postgres: one.postgres, redis: one.redis ?? false })
  const ada = await signUp(one)
  const signedIn = await post(one, '/api/auth/sign-in/email', {
    email: ada.email,
    password: 'correct horse battery staple'
  })
  const [asSignedIn = ''] = sessionCookies(signedIn)
  await age(one, ada.bearer, 2 * DAY, 5 * DAY)
  const extensions = await watchExtensions(one)

  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, i) => get(i % 2 === 0 ? one : two, '/api/a/x', { cookie: ada.cookie }))
  )

  t.ok(answers.every(({ status }) => status === 200))
  const lines = answers.flatMap(sessionCookies)
  t.ok(lines.length > 0, 'the cookie comes with the answer of the request that found it due')
  const attributes = asSignedIn.slice(asSignedIn.indexOf(';'))
  t.match(attributes, /Max-Age=604800/)
  for (const line of lines)
    t.equal(line, ada.cookie + attributes, 'the same cookie, with its attributes, living longer')
  await eventually(async () => (await secondsLeft(one, ada.bearer)) > WEEK - 60, 'the session lives a week again')
  t.equal(await extensions(), 1)

  for (const gateway of [one, two]) {
    await eventually(
      async () => sessionCookies(await get(gateway, '/api/a/x', { cookie: ada.cookie })).length === 0,
      'nothing is due any more'
    )
  }
  t.equal(await extensions(), 1)
})

t.test('what is due and what is not', async t => {
  const gateway = await startGateway(t)
  const ada = await signUp(gateway)
  const cookiesOf = async (headers: Record<string, string>) =>
    sessionCookies(await get(gateway, '/api/strict/x', headers))

  t.test('a day has not passed: nothing', async t => {
    await age(gateway, ada.bearer, DAY - 60, WEEK - DAY + 60)
    t.strictSame(await cookiesOf({ cookie: ada.cookie }), [])
    t.ok((await secondsLeft(gateway, ada.bearer)) < WEEK - DAY + 61)
  })

  t.test('a bearer client gets the longer life, and no cookie', async t => {
    const { bearer } = await signIn(gateway, ada.email)
    await age(gateway, bearer, DAY + 60, WEEK - DAY - 60)
    const answer = await get(gateway, '/api/strict/x', { authorization: `Bearer ${bearer}` })
    t.equal(answer.status, 200)
    t.strictSame(answer.headers.getSetCookie(), [])
    t.equal(answer.headers.get('set-auth-token'), null, 'its token has not changed')
    await eventually(async () => (await secondsLeft(gateway, bearer)) > WEEK - 60, 'extended')
  })

  t.test('what was born short stays short, by cookie and by bearer', async t => {
    const { bearer, cookie } = await signIn(gateway, ada.email)
    await age(gateway, bearer, 3600, DAY - 3600)
    t.strictSame(await cookiesOf({ cookie }), [])
    t.strictSame(await cookiesOf({ authorization: `Bearer ${bearer}` }), [])
    await get(gateway, '/api/auth/get-session', { authorization: `Bearer ${bearer}` })
    t.ok((await secondsLeft(gateway, bearer)) < DAY, 'nor does Better Auth make a week of it')
  })

  t.test('nor does an impersonation become a long session, however it came to be an old one', async t => {
    const { bearer, cookie } = await signIn(gateway, ada.email)
    await gateway.sql`update auth.session set impersonated_by = 'an-admin' where token = ${bearer.split('.')[0] ?? ''}`
    await age(gateway, bearer, 3 * DAY, DAY)
    t.strictSame(await cookiesOf({ cookie }), [])
    t.strictSame(await cookiesOf({ authorization: `Bearer ${bearer}` }), [])
    t.ok((await secondsLeft(gateway, bearer)) <= DAY)
  })

  t.test('the mark of a session without "remember me" counts as in Better Auth', async t => {
    const { bearer } = await signIn(gateway, ada.email)
    const marked = await post(gateway, '/api/auth/sign-in/email', {
      email: ada.email,
      password: 'correct horse battery staple',
      rememberMe: false
    })
    const [mark = ''] = marked.headers.getSetCookie().filter(line => line.includes('dont_remember'))
    const cookie = `better-auth.session_token=${encodeURIComponent(bearer)}; ${mark.slice(0, mark.indexOf(';'))}`
    await age(gateway, bearer, 3 * DAY, DAY)
    t.strictSame(await cookiesOf({ cookie }), [])
    t.ok((await secondsLeft(gateway, bearer)) <= DAY)
  })

  t.test('a refusal of a later stage brings the cookie too', async t => {
    const { bearer, cookie } = await signIn(gateway, ada.email)
    await age(gateway, bearer, 2 * DAY, 5 * DAY)
    const answer = await get(gateway, '/api/a/admin/x', { cookie })
    t.equal(answer.status, 403)
    t.match(sessionCookies(answer), [/Max-Age=604800/])
  })
})

t.test('a session that ended in between is not brought back (D18)', async t => {
  const gateway = await startGateway(t)
  const ada = await signUp(gateway)
  await age(gateway, ada.bearer, 2 * DAY, 5 * DAY)
  // Known to be live and due; the row goes while the request is on its way.
  await gateway.sql.begin(async sql => {
    await sql`delete from auth.session`
    t.equal((await get(gateway, '/api/a/x', { cookie: ada.cookie })).status, 200, 'not committed yet')
  })

  await eventually(async () => (await get(gateway, '/api/a/x', { cookie: ada.cookie })).status === 401, 'gone')
  t.equal((await gateway.sql`select from auth.session`).length, 0)
})

t.test('SESSION_DISABLE_REFRESH=1: a session ends when it would have ended at sign-in', async t => {
  const gateway = await startGateway(t, { env: { SESSION_DISABLE_REFRESH: '1' } })
  const ada = await signUp(gateway)
  await age(gateway, ada.bearer, 2 * DAY, 5 * DAY)

  t.strictSame(sessionCookies(await get(gateway, '/api/a/x', { cookie: ada.cookie })), [])
  t.strictSame(sessionCookies(await get(gateway, '/api/auth/get-session', { cookie: ada.cookie })), [])
  t.ok((await secondsLeft(gateway, ada.bearer)) <= 5 * DAY)
})

t.test('attached, sessions are the other server’s to extend', async t => {
  const hosted = await startGateway(t)
  const attached = await startGateway(t, {
    postgres: hosted.postgres,
    redis: false,
    env: { AUTH_MODE: 'attached', BETTER_AUTH_URL: hosted.origin, BETTER_AUTH_SECRET: SECRET }
  })
  const ada = await signUp(hosted)
  await age(hosted, ada.bearer, 2 * DAY, 5 * DAY)

  const answer = await get(attached, '/api/a/x', { cookie: ada.cookie })
  t.equal(answer.status, 200)
  t.strictSame(answer.headers.getSetCookie(), [])
  t.ok((await secondsLeft(hosted, ada.bearer)) <= 5 * DAY)
})
