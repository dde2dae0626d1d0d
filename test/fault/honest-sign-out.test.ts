/**
 * Who is told that a session has ended, for him it has ended: with two gateway processes, and with PostgreSQL that
 * takes no deletes, holds a lock, is away or drops a connection, with Redis out of reach, with a node that is killed.
 * Whoever is told 503 keeps his cookie, and what he asked for comes to pass without his asking again.
 */
import t, { type Test } from 'tap'
import { eventually } from '../support/eventually.js'
import { type FlakyLink, startFlakyLink } from '../support/flaky-link.js'
import { PASSWORD } from '../support/gateway.js'
import {
  callThrough,
  type GatewayPair,
  type Person,
  postTo,
  startGatewayPair,
  type TestSession
} from '../support/gateway-pair.js'

/** The one between the first gateway and Redis. */
let wire = undefined as unknown as FlakyLink
const pair = await startGatewayPair(t, {
  async own({ redis }) {
    wire = await startFlakyLink(t, redis.port)
    return [{ REDIS_URL: `redis://127.0.0.1:${wire.port}` }, {}]
  }
})
const { a, b, sql, postgres, person } = pair
const admin = await person({ role: 'admin' })

interface Asked {
  readonly name: string
  readonly answer: Promise<Response>
  /** What has to end, sooner or later. */
  readonly doomed: readonly TestSession[]
  readonly spared?: readonly TestSession[]
}

const atA = (path: string, { cookie }: TestSession, body: object = {}) =>
  postTo(a, `/api/auth${path}`, { cookie }, body)

/** By users, of their own sessions. */
const own: Readonly<Record<string, (ada: Person) => Omit<Asked, 'name'>>> = {
  'sign-out': ada => ({ answer: atA('/sign-out', ada), doomed: [ada], spared: ada.sessions.slice(1) }),
  'sign-out by bearer': ada => ({
    answer: postTo(a, '/api/auth/sign-out', { authorization: `Bearer ${ada.bearer}` }),
    doomed: [ada],
    spared: ada.sessions.slice(1)
  }),
  'revoke-session': ada => ({
    answer: atA('/revoke-session', ada, { token: ada.sessions[1]?.token }),
    doomed: ada.sessions.slice(1, 2),
    spared: [ada]
  }),
  'revoke-other-sessions': ada => ({
    answer: atA('/revoke-other-sessions', ada),
    doomed: ada.sessions.slice(1),
    spared: [ada]
  }),
  'revoke-sessions': ada => ({ answer: atA('/revoke-sessions', ada), doomed: ada.sessions })
}

/** What Better Auth has to allow, and what ends sessions beside something else. */
const others: Readonly<Record<string, (ada: Person) => Omit<Asked, 'name'>>> = {
  'admin/revoke-user-session': ada => ({
    answer: atA('/admin/revoke-user-session', admin, { sessionToken: ada.token }),
    doomed: [ada],
    spared: ada.sessions.slice(1)
  }),
  'admin/revoke-user-sessions': ada => ({
    answer: atA('/admin/revoke-user-sessions', admin, { userId: ada.id }),
    doomed: ada.sessions
  }),
  'admin/ban-user': ada => ({ answer: atA('/admin/ban-user', admin, { userId: ada.id }), doomed: ada.sessions }),
  'change-password': ada => ({
    answer: atA('/change-password', ada, {
      currentPassword: PASSWORD,
      newPassword: `${PASSWORD}!`,
      revokeOtherSessions: true
    }),
    doomed: ada.sessions
  })
}

async function warmPeople(count: number): Promise<Person[]> {
  const people: Person[] = []
  for (let i = 0; i < count; i++) people.push(await person({ sessions: 2 }))
  const sessions = [admin, ...people.flatMap(({ sessions }) => sessions)]
  for (let i = 0; i < 3; i++) await Promise.all(sessions.flatMap(one => [callThrough(a, one), callThrough(b, one)]))
  return people
}

/** All of them at once, each for somebody else. */
function ask(actions: typeof own, people: readonly Person[]): Asked[] {
  return Object.entries(actions).map(([name, action], i) => ({ name, ...action(people[i] as Person) }))
}

async function isRefusedHonestly(t: Test, { name, answer }: Asked): Promise<void> {
  const { status, headers, ...response } = await answer.then(async each => ({
    status: each.status,
    headers: each.headers,
    json: (await each.json()) as object
  }))
  t.equal(status, 503, name)
  t.match(response.json, { success: false, code: 'AUTH_SERVICE_UNAVAILABLE' }, name)
  t.ok(Number(headers.get('retry-after')) >= 1, `${name}: Retry-After`)
  t.strictSame(headers.getSetCookie(), [], `${name}: the cookie is kept`)
}

async function livesOn(t: Test, name: string, sessions: readonly TestSession[]): Promise<void> {
  for (const session of sessions) {
    for (const node of [a, b]) t.equal((await callThrough(node, session)).status, 200, `${name}: still signed in`)
  }
}

/** Without anybody asking again. */
async function comesToPass(t: Test, { name, doomed, spared = [] }: Asked): Promise<void> {
  for (const session of doomed) {
    for (const node of [a, b]) {
      await eventually(async () => (await callThrough(node, session)).status === 401, `${name}: ended`, 15_000)
    }
  }
  for (const session of spared) {
    const rows = await sql`select from auth.session where token = ${session.token}`
    t.equal(rows.length, 1, `${name}: and nobody else's`)
  }
  t.pass(`${name}: ended`)
}

async function isOver(t: Test, sessions: readonly TestSession[], nodes = [a, b]): Promise<void> {
  const statuses = await Promise.all(
    sessions.flatMap(one => nodes.flatMap(node => Array.from({ length: 20 }, () => callThrough(node, one))))
  )
  t.strictSame([...new Set(statuses.map(({ status }) => status))], [401], 'nobody is let in')
}

t.test('PostgreSQL takes no writes (P4, K10)', async t => {
  const people = await warmPeople(9)
  await sql`alter system set default_transaction_read_only = on`
  await sql`select pg_reload_conf()`
  await eventually(
    async () => (await sql`show default_transaction_read_only`)[0]?.['default_transaction_read_only'] === 'on',
    'read-only'
  )

  const asked = [...ask(own, people), ...ask(others, people.slice(5))]
  for (const each of asked) await isRefusedHonestly(t, each)
  for (const { name, doomed } of asked) await livesOn(t, name, doomed)

  await sql`alter system reset default_transaction_read_only`
  await sql`select pg_reload_conf()`
  // A ban and a new password were refused as such, before any session was to end.
  for (const each of asked.slice(0, -2)) await comesToPass(t, each)
})

t.test('the role of the gateways may not delete sessions', async t => {
  const people = await warmPeople(9)
  await sql`revoke delete on auth.session from gateway`

  const asked = [...ask(own, people), ...ask(others, people.slice(5))]
  for (const each of asked) await isRefusedHonestly(t, each)

  await sql`grant delete on auth.session to gateway`
  for (const each of asked) await comesToPass(t, each)
})

t.test('PostgreSQL is away, and back a second later (K06)', async t => {
  const people = await warmPeople(5)
  await postgres.stop()

  const asked = ask(own, people)
  for (const each of asked) await isRefusedHonestly(t, each)

  await postgres.restart()
  for (const each of asked) await comesToPass(t, each)
})

t.test('the rows are locked by another transaction', async t => {
  const people = await warmPeople(3)
  const locker = await sql.reserve()
  await locker`begin`
  await locker`select from auth.session where user_id = any(${people.map(({ id }) => id)}) for update`

  const { 'sign-out': signOut, 'revoke-sessions': revokeSessions } = own
  const asked = [
    ...ask({ signOut, revokeSessions } as typeof own, people),
    { name: 'revoke-user-sessions', ...others['admin/revoke-user-sessions']?.(people[2] as Person) } as Asked
  ]
  for (const each of asked) await isRefusedHonestly(t, each)
  const [, again] = people as [Person, Person]
  const [row] = await sql`insert into auth.session (id, token, user_id, expires_at)
    values ('later', 'later', ${again.id}, now() + interval '1 day') returning token`
  for (const { name, doomed } of asked) await livesOn(t, name, doomed)

  await locker`rollback`
  locker.release()
  for (const each of asked) await comesToPass(t, each)
  t.equal((await sql`select from auth.session where token = ${row?.['token']}`).length, 1, 'what began since lives on')
})

t.test('Better Auth’s own look-up fails once: a sign-out is done, another revocation is done later', async t => {
  const people = await warmPeople(2)
  for (const [name, action] of Object.entries({
    'sign-out': own['sign-out'],
    'revoke-other-sessions': own['revoke-other-sessions']
  })) {
    const ada = people.pop() as Person
    const locker = await sql.reserve()
    await locker`begin`
    await locker`lock table auth."user" in access exclusive mode`
    const asked = { name, ...action?.(ada) } as Asked
    const lost = () => sql`select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = 'session-gateway auth' and wait_event_type = 'Lock'`
    await eventually(async () => (await lost()).length > 0, 'its look-up waits, and loses its connection')
    await locker`rollback`
    locker.release()

    if (name === 'sign-out') {
      t.equal((await asked.answer).status, 200)
      await isOver(t, asked.doomed)
    } else {
      await isRefusedHonestly(t, asked)
      await comesToPass(t, asked)
    }
  }
})

for (const [how, part, mend] of [
  ['silent', () => wire.stall(), () => (wire.resume(), wire.cut())],
  ['gone', () => (wire.leadTo(1), wire.cut()), () => wire.leadTo(pair.redis.port)]
] as const) {
  t.test(`Redis is ${how} for the node that is asked, not for the other`, async t => {
    const [one, two] = (await warmPeople(2)) as [Person, Person]
    part()

    t.equal((await atA('/sign-out', one)).status, 200)
    await isOver(t, [one])
    t.equal((await atA('/revoke-sessions', two)).status, 200)
    await isOver(t, two.sessions)

    mend()
    await isOver(t, [one, ...two.sessions])
  })
}

t.test('the node is killed between the commit and its answer: nobody was told, and the other finds it', async t => {
  const third: GatewayPair = await startGatewayPair(t)
  const ada = await third.person()
  for (let i = 0; i < 3; i++) for (const node of [third.a, third.b]) await callThrough(node, ada)
  // Nothing can be applied in Redis, so the answer has to wait.
  third.redis.pause()
  const answer = postTo(third.a, '/api/auth/sign-out', { cookie: ada.cookie }).then(
    ({ status }) => status,
    () => 'no answer'
  )
  await eventually(
    async () => (await third.sql`select from auth.session where token = ${ada.token}`).length === 0,
    'committed'
  )
  third.a.signal('SIGKILL')
  t.equal(await answer, 'no answer')
  third.redis.resume()

  await eventually(async () => (await callThrough(third.b, ada)).status === 401, 'in force by polling', 2_000)
  await isOver(t, [ada], [third.b])
  const bob = await third.person()
  await callThrough(third.b, bob)
  t.equal((await postTo(third.b, '/api/auth/sign-out', { cookie: bob.cookie })).status, 200, 'nobody misses the dead')
  await isOver(t, [bob], [third.b])
})
