/** A change of role renews the session: a new token, and soon an end of the old one (R42). */
import t from 'tap'
import { eventually } from '../support/eventually.js'
import { get, post, signIn, signUp, startGateway, type TestGateway, type TestUser } from '../support/gateway.js'

/** The session cookie an answer sets, as a browser would send it; null: none. */
function newCookie(response: Response): string | null {
  const line = response.headers.getSetCookie().find(each => each.includes('session_token='))
  return line?.slice(0, line.indexOf(';')) ?? null
}

const tokenIn = (cookie: string): string =>
  decodeURIComponent(cookie.slice(cookie.indexOf('=') + 1)).split('.')[0] ?? ''

async function setRole({ sql }: TestGateway, { id }: Pick<TestUser, 'id'>, role: string): Promise<void> {
  await sql`update auth."user" set role = ${role} where id = ${id}`
}

/** By the database's clock, as everything about it. */
async function endGrace({ sql }: TestGateway): Promise<void> {
  await sql`update auth.gateway_old_token set grace_until = now()`
}

async function sessionsOf({ sql }: TestGateway, { id }: Pick<TestUser, 'id'>) {
  return sql`select id, token, expires_at, created_at from auth.session where user_id = ${id} order by id`
}

const shared = await startGateway(t)

t.test('50 requests on two gateways while the role changes: none refused, one new token', async t => {
  const one = shared
  const two = await startGateway(t, { postgres: one.postgres, redis: one.redis ?? false })
  const ada = await signUp(one)
  const [before] = await sessionsOf(one, ada)
  for (const gateway of [one, two]) t.equal((await get(gateway, '/api/a/x', { cookie: ada.cookie })).status, 200)

  const asked = Array.from({ length: 50 }, (_, i) => get(i % 2 === 0 ? one : two, '/api/a/x', { cookie: ada.cookie }))
  await setRole(one, ada, 'admin')
  const after = Array.from({ length: 50 }, (_, i) =>
    get(i % 2 === 0 ? one : two, '/api/a/admin/x', { cookie: ada.cookie })
  )
  const answers = await Promise.all([...asked, ...after])

  t.ok(
    answers.slice(0, 50).every(({ status }) => status === 200),
    'none of the first is refused'
  )
  const late = answers.slice(50).filter(({ status }) => status !== 200)
  t.ok(
    late.every(({ status }) => status === 403),
    'at most the role is not known everywhere yet'
  )
  await eventually(async () => newCookie(await get(two, '/api/a/admin/x', { cookie: ada.cookie })) !== null, 'told')
  const told = new Set(answers.map(newCookie).filter(cookie => cookie !== null))
  told.add(newCookie(await get(one, '/api/a/x', { cookie: ada.cookie })) ?? '')
  t.equal(told.size, 1, 'every answer brings the same one')
  const [cookie = ''] = told
  t.not(cookie, ada.cookie)

  const rows = await sessionsOf(one, ada)
  t.same([...rows], [{ ...before, token: tokenIn(cookie) }], 'the same session, ending when it would have ended')
  t.equal((await get(two, '/api/a/admin/x', { cookie })).status, 200)

  t.test('after the grace the old one is refused everywhere, the new one is not', async t => {
    await endGrace(one)
    for (const gateway of [one, two]) {
      const replay = await get(gateway, '/api/a/x', { cookie: ada.cookie })
      t.equal(replay.status, 401)
      t.equal(newCookie(replay), null)
      t.equal((await get(gateway, '/api/a/x', { cookie })).status, 200)
    }
    t.equal((await one.sql`select from auth.gateway_rotation_due`).length, 0)
  })

  t.test('the next change of role changes it again', async t => {
    await setRole(one, ada, 'user')
    let next: string | null = null
    await eventually(async () => {
      next = newCookie(await get(two, '/api/a/x', { cookie })) ?? next
      return next !== null
    }, 'another one')
    t.not(next, cookie)
  })
})

t.test('the grace is ten seconds by the database, once', async t => {
  const gateway = shared
  const ada = await signUp(gateway)
  await setRole(gateway, ada, 'editor')
  const cookie = newCookie(await get(gateway, '/api/strict/x', { cookie: ada.cookie })) ?? ''
  const [{ left }] = (await gateway.sql`select extract(epoch from grace_until - now())::float8 as left
    from auth.gateway_old_token order by grace_until desc limit 1`) as unknown as [{ left: number }]
  t.ok(left > 8 && left <= 10, `${left} s`)
  t.equal(newCookie(await get(gateway, '/api/a/x', { cookie: ada.cookie })), cookie, 'a lost answer loses nobody')
  t.equal(newCookie(await get(gateway, '/api/a/x', { cookie })), null)
  const [again] = (await gateway.sql`select extract(epoch from grace_until - now())::float8 as left
    from auth.gateway_old_token order by grace_until desc limit 1`) as unknown as [{ left: number }]
  t.ok(again.left < left, 'use does not prolong it')
})

t.test('a bearer client is told by set-auth-token', async t => {
  const gateway = shared
  const ada = await signUp(gateway)
  await setRole(gateway, ada, 'editor')

  const answer = await get(gateway, '/api/strict/x', { authorization: `Bearer ${ada.bearer}` })
  const bearer = answer.headers.get('set-auth-token') ?? ''
  t.strictSame(answer.headers.getSetCookie(), [])
  t.equal(answer.headers.get('cache-control'), 'no-store')
  await endGrace(gateway)
  await eventually(
    async () => (await get(gateway, '/api/a/x', { authorization: `Bearer ${ada.bearer}` })).status === 401,
    'the old one ends'
  )
  t.equal((await get(gateway, '/api/a/x', { authorization: `Bearer ${bearer}` })).status, 200)
})

t.test('whoever changes the role: an administrator here, or anybody by SQL; every session of the user', async t => {
  const gateway = shared
  const root = await signUp(gateway, 'admin')
  const ada = await signUp(gateway)
  const phone = await signIn(gateway, ada.email)
  const rootCookie = newCookie(await get(gateway, '/api/strict/x', { cookie: root.cookie })) ?? root.cookie

  const set = await post(gateway, '/api/auth/admin/set-role', { userId: ada.id, role: 'admin' }, { cookie: rootCookie })
  t.equal(set.status, 200)
  const answers = [ada.cookie, phone.cookie].map(cookie => get(gateway, '/api/a/admin/x', { cookie }))
  const cookies = (await Promise.all(answers)).map(newCookie)
  t.equal(new Set(cookies).size, 2)
  t.notOk(cookies.includes(null), 'both devices at their next request')
  t.equal(newCookie(await get(gateway, '/api/a/x', { cookie: rootCookie })), null, 'and nobody else')

  await gateway.sql`update auth."user" set name = 'Ada L.' where id = ${ada.id}`
  t.equal(newCookie(await get(gateway, '/api/strict/x', { cookie: cookies[0] ?? '' })), null, 'a name is no role')
})

t.test('the new token is given up when the session ends in between, and cannot prolong it', async t => {
  const gateway = shared
  const ada = await signUp(gateway)
  await setRole(gateway, ada, 'editor')
  const cookie = newCookie(await get(gateway, '/api/strict/x', { cookie: ada.cookie })) ?? ''
  await gateway.sql`delete from auth.session where token = ${tokenIn(cookie)}`

  for (const each of [cookie, ada.cookie]) {
    await eventually(async () => (await get(gateway, '/api/a/x', { cookie: each })).status === 401, 'both are gone')
  }
  const [row] = await gateway.sql`select count(*)::int as left from auth.gateway_old_token o
    where not exists (select from auth.session s where s.id = o.session_id)`
  t.equal(row?.left, 0, 'and forgotten')
})

t.test('while nothing can be written the session goes on as it was', async t => {
  const gateway = shared
  const ada = await signUp(gateway)
  await setRole(gateway, ada, 'editor')
  await gateway.sql.unsafe(`create function public.refuse() returns trigger language plpgsql as
      $$begin raise 'read only'; end$$;
    create trigger refuse before update of token on auth.session for each row execute function public.refuse()`)

  const answer = await get(gateway, '/api/strict/x', { cookie: ada.cookie })
  t.equal(answer.status, 200)
  t.equal(newCookie(answer), null)
  await gateway.sql`drop trigger refuse on auth.session`
  t.not(newCookie(await get(gateway, '/api/strict/x', { cookie: ada.cookie })), null, 'and gets its token later')
})

t.test('at Better Auth’s own door', async t => {
  const gateway = shared
  const renewed = async () => {
    const ada = await signUp(gateway)
    await setRole(gateway, ada, 'editor')
    const answer = await get(gateway, '/api/auth/get-session', { cookie: ada.cookie })
    const cookie = newCookie(answer) ?? ''
    return { ...ada, old: ada.cookie, cookie, body: (await answer.json()) as { session: { token: string } } }
  }

  t.test('the next request may be one to it', async t => {
    const { id, old, cookie, body } = await renewed()
    t.match(body, { user: { id }, session: { token: tokenIn(cookie) } })
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => get(gateway, '/api/auth/get-session', { cookie: old }))
    )
    for (const answer of answers) {
      t.match(await answer.json(), { user: { id } }, 'the old token, in its grace')
      t.equal(newCookie(answer), cookie, 'is not cleared, but replaced')
    }
    await endGrace(gateway)
    const replay = await get(gateway, '/api/auth/get-session', { cookie: old })
    t.equal(await replay.json(), null)
    t.match(await (await get(gateway, '/api/auth/get-session', { cookie })).json(), { user: { id } })
  })

  t.test('20 requests there and here while it is due: one new token', async t => {
    const ada = await signUp(gateway)
    await setRole(gateway, ada, 'editor')
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        get(gateway, i % 2 === 0 ? '/api/auth/get-session' : '/api/strict/x', { cookie: ada.cookie })
      )
    )
    t.ok(answers.every(({ status }) => status === 200))
    t.equal(new Set(answers.map(newCookie)).size, 1)
    t.notOk(answers.map(newCookie).includes(null))
  })

  for (const grace of ['in', 'after']) {
    t.test(`signing out with the old token ends the session, ${grace} its grace`, async t => {
      const { id, old, cookie } = await renewed()
      if (grace === 'after') await endGrace(gateway)
      const out = await post(gateway, '/api/auth/sign-out', {}, { cookie: old })
      t.equal(out.status, 200)
      t.match(out.headers.getSetCookie().join(), 'better-auth.session_token=; Max-Age=0')
      t.equal(out.headers.getSetCookie().filter(line => line.includes('session_token')).length, 1)
      t.equal((await get(gateway, '/api/a/x', { cookie })).status, 401)
      t.equal((await sessionsOf(gateway, { id })).length, 0)
    })
  }

  t.test('revoking it by the token a list of yesterday shows', async t => {
    const { email, old, cookie } = await renewed()
    const { cookie: other } = await signIn(gateway, email)
    await endGrace(gateway)
    const body = { token: tokenIn(old) }
    t.equal((await post(gateway, '/api/auth/revoke-session', body, { cookie: other })).status, 200)
    t.equal((await get(gateway, '/api/a/x', { cookie })).status, 401)
    t.equal((await get(gateway, '/api/a/x', { cookie: other })).status, 200)
  })

  t.test('nobody revokes a stranger’s session that way', async t => {
    const { old, cookie } = await renewed()
    const mallory = await signUp(gateway)
    await post(gateway, '/api/auth/revoke-session', { token: tokenIn(old) }, { cookie: mallory.cookie })
    t.equal((await get(gateway, '/api/a/x', { cookie })).status, 200)
  })
})

t.test('SESSION_ROTATE_ON_ROLE_CHANGE=0: the role is another one, the token is not', async t => {
  const gateway = await startGateway(t, {
    postgres: shared.postgres,
    redis: false,
    env: { SESSION_ROTATE_ON_ROLE_CHANGE: '0' }
  })
  const ada = await signUp(gateway)
  await setRole(gateway, ada, 'admin')

  const answer = await get(gateway, '/api/a/admin/x', { cookie: ada.cookie })
  t.equal(answer.status, 200)
  t.equal(newCookie(answer), null)
})
