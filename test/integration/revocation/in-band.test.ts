/**
 * The in-band rule, endpoint by endpoint, with two gateway processes: from the first byte of the answer to a change,
 * no request is accepted on what was before it, at either node (revocation.md G1; R42, R43).
 *
 * Both nodes hold the sessions in memory and in Redis when the change is made, and callers keep asking all the while,
 * so that look-ups and fills are under way at its commit.
 */
import { createOTP } from '@better-auth/utils/otp'
import { base32 } from '@better-auth/utils/base32'
import { createEmailVerificationToken } from 'better-auth/api'
import t, { type Test } from 'tap'
import { eventually } from '../../support/eventually.js'
import { type FlakyLink, startFlakyLink } from '../../support/flaky-link.js'
import { PASSWORD, SECRET } from '../../support/gateway.js'
import {
  BASE_URL,
  callThrough,
  getFrom,
  type Person,
  postTo,
  type Seen,
  sessionSetBy,
  startGatewayPair,
  type TestSession
} from '../../support/gateway-pair.js'
import { twoFactorTables } from '../../support/two-factor.js'

/** Their connections for LISTEN, and nothing else. */
const ears: FlakyLink[] = []
const { a, b, sql, person } = await startGatewayPair(t, {
  prepare: twoFactorTables,
  env: { SESSION_LOCAL_LEASE: '400' },
  async own({ postgres }) {
    const ear = await startFlakyLink(t, postgres.port)
    ears.push(ear)
    const env = { DATABASE_DIRECT_URL: postgres.url.replace(`:${postgres.port}/`, `:${ear.port}/`) }
    return [env, env]
  }
})
for (const { stdout } of [a, b]) await eventually(() => stdout().includes('"state":"hears"'), 'it hears NOTIFY')
const admin = await person({ role: 'admin' })

/** One session whose state a change makes old. */
interface Watched {
  readonly session: TestSession
  readonly before: (seen: Seen) => boolean
  readonly after: (seen: Seen) => boolean
}

interface Change {
  readonly watched: readonly Watched[]
  readonly make: () => Promise<Response>
  /** Default: below 400. */
  readonly status?: number
}

const let200 = ({ status }: Seen) => status === 200
const isRefused = ({ status }: Seen) => status === 401

const ends = (session: TestSession): Watched => ({ session, before: let200, after: isRefused })
const begins = (session: TestSession): Watched => ({ session, before: isRefused, after: let200 })

function turns(session: TestSession, header: string, from: string | undefined, to: string | undefined): Watched {
  return {
    session,
    before: ({ status, identity }) => status === 200 && identity[header] === from,
    after: ({ status, identity }) => status === 200 && identity[header] === to
  }
}

const atA = (path: string, { cookie }: TestSession, body: object = {}) =>
  postTo(a, `/api/auth${path}`, { cookie }, body)
const byAdmin = (path: string, body: object) => atA(`/admin${path}`, admin, body)

/** The name of every change, and how it is arranged. */
const changes: Readonly<Record<string, () => Promise<Change>>> = {
  'sign-out': async () => {
    const ada = await person()
    return { watched: [ends(ada)], make: () => atA('/sign-out', ada) }
  },
  'sign-out with a bearer token': async () => {
    const ada = await person()
    const authorization = `Bearer ${ada.bearer}`
    return { watched: [ends(ada)], make: () => postTo(a, '/api/auth/sign-out', { authorization }) }
  },
  'revoke-session': async () => {
    const { sessions } = await person({ sessions: 2 })
    const [mine, other] = twoOf(sessions)
    return { watched: [ends(other)], make: () => atA('/revoke-session', mine, { token: other.token }) }
  },
  'revoke-sessions': async () => {
    const ada = await person({ sessions: 3 })
    return { watched: ada.sessions.map(ends), make: () => atA('/revoke-sessions', ada) }
  },
  'revoke-other-sessions': async () => {
    const ada = await person({ sessions: 3 })
    return { watched: ada.sessions.slice(1).map(ends), make: () => atA('/revoke-other-sessions', ada) }
  },
  'change-password with revokeOtherSessions': async () => {
    const ada = await person({ sessions: 2 })
    const body = { currentPassword: PASSWORD, newPassword: `${PASSWORD}!`, revokeOtherSessions: true }
    return { watched: ada.sessions.map(ends), make: () => atA('/change-password', ada, body) }
  },
  'reset-password': async () => {
    const ada = await person({ sessions: 2 })
    const token = await resetToken(ada)
    const make = () => postTo(a, '/api/auth/reset-password', {}, { token, newPassword: `${PASSWORD}!` })
    return { watched: ada.sessions.map(ends), make }
  },
  'verify-email, a GET': async () => {
    const ada = await person()
    const token = await createEmailVerificationToken(SECRET, ada.email)
    const make = () => getFrom(a, `/api/auth/verify-email?token=${token}&callbackURL=${encodeURIComponent(BASE_URL)}`)
    return { watched: [turns(ada, 'x-user-email-verified', 'false', 'true')], make }
  },
  'admin/revoke-user-session': async () => {
    const { sessions } = await person({ sessions: 2 })
    const [other, one] = twoOf(sessions)
    const make = () => byAdmin('/revoke-user-session', { sessionToken: one.token })
    return { watched: [ends(one), { session: other, before: let200, after: let200 }], make }
  },
  'admin/revoke-user-sessions': async () => {
    const ada = await person({ sessions: 3 })
    return {
      watched: ada.sessions.map(ends),
      make: () => byAdmin('/revoke-user-sessions', { userId: ada.id })
    }
  },
  'admin/ban-user': async () => {
    const ada = await person({ sessions: 2 })
    return { watched: ada.sessions.map(ends), make: () => byAdmin('/ban-user', { userId: ada.id }) }
  },
  'admin/unban-user': async () => {
    const ada = await person()
    await sql`update auth."user" set banned = true where id = ${ada.id}`
    return { watched: [begins(ada)], make: () => byAdmin('/unban-user', { userId: ada.id }) }
  },
  'admin/update-user with a ban': async () => {
    const ada = await person({ sessions: 2 })
    const make = () => byAdmin('/update-user', { userId: ada.id, data: { banned: true } })
    return { watched: ada.sessions.map(ends), make }
  },
  'admin/set-role': async () => {
    const ada = await person({ role: 'support', sessions: 2 })
    const make = () => byAdmin('/set-role', { userId: ada.id, role: 'user' })
    return { watched: ada.sessions.map(one => turns(one, 'x-user-roles', 'support', 'user')), make }
  },
  'admin/update-user with a role': async () => {
    const ada = await person({ role: 'support' })
    const make = () => byAdmin('/update-user', { userId: ada.id, data: { role: 'user' } })
    return { watched: [turns(ada, 'x-user-roles', 'support', 'user')], make }
  },
  'admin/update-user with an e-mail': async () => {
    const ada = await person()
    const email = `new.${ada.email}`
    const make = () => byAdmin('/update-user', { userId: ada.id, data: { email } })
    return { watched: [turns(ada, 'x-user-email', ada.email, email)], make }
  },
  'admin/remove-user': async () => {
    const ada = await person({ sessions: 2 })
    return { watched: ada.sessions.map(ends), make: () => byAdmin('/remove-user', { userId: ada.id }) }
  },
  'admin/stop-impersonating': async () => {
    const ada = await person()
    const begun = await byAdmin('/impersonate-user', { userId: ada.id })
    const impersonated = sessionSetBy(begun)
    if (impersonated === null) throw new Error(`impersonate-user answered ${begun.status}`)
    const lines = begun.headers.getSetCookie().filter(line => !/max-age=0/i.test(line))
    const cookie = lines.map(line => line.slice(0, line.indexOf(';'))).join('; ')
    const make = () => postTo(a, '/api/auth/admin/stop-impersonating', { cookie })
    return { watched: [ends(impersonated)], make }
  },
  'two-factor/verify-totp, which changes the session': async () => {
    const ada = await person()
    const code = await secondFactor(ada)
    return { watched: [ends(ada)], make: () => atA('/two-factor/verify-totp', ada, { code }) }
  },
  'two-factor/disable, which changes the session': async () => {
    const ada = await person()
    const confirmed = await atA('/two-factor/verify-totp', ada, { code: await secondFactor(ada) })
    const session = sessionSetBy(confirmed)
    if (session === null) throw new Error(`verify-totp answered ${confirmed.status}`)
    return { watched: [ends(session)], make: () => atA('/two-factor/disable', session, { password: PASSWORD }) }
  },
  'organization/create': async () => {
    const ada = await person()
    const make = () => atA('/organization/create', ada, { name: 'New', slug: ada.id })
    return { watched: [turns(ada, 'x-organization-role', undefined, 'owner')], make }
  },
  'organization/set-active': async () => {
    const ada = await person()
    const [one, other] = [await organization(ada, 'owner'), await organization(ada, 'admin')]
    await activate(one, ada)
    return {
      watched: [turns(ada, 'x-organization-id', one, other), turns(ada, 'x-organization-role', 'owner', 'admin')],
      make: () => atA('/organization/set-active', ada, { organizationId: other })
    }
  },
  'organization/set-active with nothing': async () => {
    const ada = await person()
    const one = await organization(ada, 'owner')
    await activate(one, ada)
    const make = () => atA('/organization/set-active', ada, { organizationId: null })
    return { watched: [turns(ada, 'x-organization-id', one, undefined)], make }
  },
  'organization/set-active with one of strangers, which is refused and leaves none active': async () => {
    const [ada, stranger] = [await person(), await person()]
    const [mine, theirs] = [await organization(ada, 'owner'), await organization(stranger, 'owner')]
    await activate(mine, ada)
    const make = () => atA('/organization/set-active', ada, { organizationId: theirs })
    return { watched: [turns(ada, 'x-organization-id', mine, undefined)], make, status: 403 }
  },
  'organization/update-member-role': async () => {
    const [owner, ada] = [await person(), await person({ sessions: 2 })]
    const organizationId = await organization(owner, 'owner')
    const memberId = await join(organizationId, ada, 'admin')
    for (const session of [owner, ...ada.sessions]) await activate(organizationId, session)
    const make = () => atA('/organization/update-member-role', owner, { organizationId, memberId, role: 'member' })
    return { watched: ada.sessions.map(one => turns(one, 'x-organization-role', 'admin', 'member')), make }
  },
  'organization/remove-member': async () => {
    const [owner, ada] = [await person(), await person()]
    const organizationId = await organization(owner, 'owner')
    const memberIdOrEmail = await join(organizationId, ada, 'member')
    for (const session of [owner, ada]) await activate(organizationId, session)
    const make = () => atA('/organization/remove-member', owner, { organizationId, memberIdOrEmail })
    return { watched: [turns(ada, 'x-organization-role', 'member', undefined)], make }
  },
  'organization/leave': async () => {
    const [owner, ada] = [await person(), await person({ sessions: 2 })]
    const organizationId = await organization(owner, 'owner')
    await join(organizationId, ada, 'member')
    for (const session of ada.sessions) await activate(organizationId, session)
    const make = () => atA('/organization/leave', ada, { organizationId })
    return { watched: ada.sessions.map(one => turns(one, 'x-organization-role', 'member', undefined)), make }
  },
  'organization/delete': async () => {
    const [owner, ada] = [await person(), await person()]
    const organizationId = await organization(owner, 'owner')
    await join(organizationId, ada, 'member')
    for (const session of [owner, ada]) await activate(organizationId, session)
    const make = () => atA('/organization/delete', owner, { organizationId })
    const left: readonly Watched[] = [
      turns(ada, 'x-organization-role', 'member', undefined),
      turns(owner, 'x-organization-role', 'owner', undefined)
    ]
    return { watched: left, make }
  },
  'organization/accept-invitation': async () => {
    const [owner, ada] = [await person(), await person()]
    await sql`update auth."user" set email_verified = true where id = ${ada.id}`
    const organizationId = await organization(owner, 'owner')
    const body = { organizationId, email: ada.email, role: 'member' }
    const invited = await atA('/organization/invite-member', owner, body)
    const { id } = (await invited.json()) as { id: string }
    const make = () => atA('/organization/accept-invitation', ada, { invitationId: id })
    return { watched: [turns(ada, 'x-organization-role', undefined, 'member')], make }
  }
}

for (const [name, arrange] of Object.entries(changes)) {
  t.test(`${name}: in force on both nodes when its answer begins`, t => inForceAtOnce(t, arrange))
}

// Now nobody is woken, and nobody can acknowledge: whoever does not wait is found out.
// Side by side: every one of them waits for a lease to end.
t.test('and when NOTIFY reaches nobody', { jobs: 4 }, async t => {
  for (const ear of ears) ear.stall()
  for (const [name, arrange] of Object.entries(changes)) {
    t.test(name, { buffered: true }, each => inForceAtOnce(each, arrange))
  }
})

async function inForceAtOnce(t: Test, arrange: () => Promise<Change>): Promise<void> {
  const { watched, make, status } = await arrange()
  const observers = watched.flatMap(one => [a, b].map(node => new Observer(one, node)))
  await Promise.all(observers.map(observer => observer.warm()))
  const callers = observers.map(observer => observer.keepAsking())

  const answer = await make()
  const answeredAt = performance.now()
  await Promise.all(observers.map(observer => observer.burst()))
  for (const observer of observers) observer.stop()
  await Promise.all(callers)
  const text = await answer.text()

  if (status === undefined) t.ok(answer.status < 400, `answered ${answer.status} ${text}`)
  else t.equal(answer.status, status, text)
  for (const observer of observers) observer.judge(t, answeredAt)
}

t.test('what could change more is not switched on', async t => {
  const ada = await person()
  for (const path of ['/change-email', '/delete-user', '/delete-user/callback']) {
    t.equal((await atA(path, ada, { newEmail: 'x@example.com' })).status, 404, path)
  }
})

/** Asks one node with one session, and remembers what it saw of requests begun when. */
class Observer {
  readonly #watched: Watched
  readonly #node: typeof a
  readonly #seen: { readonly begunAt: number; readonly seen: Seen }[] = []
  #running = true

  constructor(watched: Watched, node: typeof a) {
    this.#watched = watched
    this.#node = node
  }

  async #ask(): Promise<Seen> {
    const begunAt = performance.now()
    const seen = await callThrough(this.#node, this.#watched.session)
    this.#seen.push({ begunAt, seen })
    return seen
  }

  /** Until memory and Redis hold what the database says. */
  async warm(): Promise<void> {
    const { before } = this.#watched
    await eventually(async () => before(await this.#ask()), 'the state before the change')
    for (let i = 0; i < 3; i++) await this.#ask()
  }

  async keepAsking(): Promise<void> {
    while (this.#running) await this.#ask()
  }

  async burst(): Promise<void> {
    for (let round = 0; round < 3; round++) await Promise.all(Array.from({ length: 8 }, () => this.#ask()))
  }

  stop(): void {
    this.#running = false
  }

  judge(t: Test, answeredAt: number): void {
    const { before, after } = this.#watched
    const node = this.#node === a ? 'where it was made' : 'at the other node'
    const late = this.#seen.filter(({ begunAt }) => begunAt >= answeredAt).map(({ seen }) => seen)
    t.ok(late.length >= 24, `${late.length} requests ${node}`)
    // What is the same before and after tells nothing.
    if (this.#watched.before !== this.#watched.after)
      t.strictSame(late.filter(before), [], `none on the old state ${node}`)
    t.strictSame(
      late.filter(seen => !after(seen)),
      [],
      `all on the new one ${node}`
    )
  }
}

function twoOf([one, other]: readonly TestSession[]): [TestSession, TestSession] {
  if (one === undefined || other === undefined) throw new Error('two sessions')
  return [one, other]
}

async function resetToken({ id, email }: Person): Promise<string> {
  await postTo(a, '/api/auth/request-password-reset', {}, { email })
  const link = () => new RegExp(`"${id}"[^\\n]*reset-password\\?token=([\\w-]+)`).exec(a.stdout())
  await eventually(() => link() !== null, 'the mail is logged')
  return link()?.[1] ?? ''
}

/** A code for the second factor that is waiting to be confirmed. */
async function secondFactor(session: TestSession): Promise<string> {
  const enabled = await atA('/two-factor/enable', session, { password: PASSWORD })
  const { totpURI } = (await enabled.json()) as { totpURI: string }
  const secret = base32.decode(new URL(totpURI).searchParams.get('secret') ?? '')
  return createOTP(new TextDecoder().decode(secret)).totp()
}

async function organization(owner: Person, role: string): Promise<string> {
  const id = `org-${owner.id}-${role}`
  await sql`insert into auth.organization (id, name, slug, created_at) values (${id}, 'Org', ${id}, now())`
  await join(id, owner, role)
  return id
}

async function join(organizationId: string, { id }: Person, role: string): Promise<string> {
  const memberId = `member-${organizationId}-${id}`
  await sql`insert into auth.member (id, organization_id, user_id, role, created_at)
    values (${memberId}, ${organizationId}, ${id}, ${role}, now())`
  return memberId
}

async function activate(organizationId: string, { token }: TestSession): Promise<void> {
  await sql`update auth.session set active_organization_id = ${organizationId} where token = ${token}`
}
