/** Every node says of every revocation why it was and how long it took, in a line and in numbers (R87, R89). */
import t from 'tap'
import { eventually } from '../support/eventually.js'
import { get, PASSWORD, post, signIn, signUp, startGateway, type TestGateway } from '../support/gateway.js'

const revocations = ({ log }: TestGateway) => log.filter(({ event }) => event === 'revocation')
const metricsOf = async ({ opsPort }: TestGateway) => (await fetch(`http://127.0.0.1:${opsPort}/metrics`)).text()

t.test('the cause is known on every node, whoever made the change', async t => {
  const here = await startGateway(t)
  const there = await startGateway(t, {
    postgres: here.postgres,
    redis: here.redis ?? false,
    env: { BETTER_AUTH_URL: here.origin }
  })
  const { sql } = here
  const admin = await signUp(here, 'admin')
  const asAdmin = { cookie: admin.cookie }
  const tokens: string[] = []

  /** Somebody new, signed in, and what the nodes say of the change. */
  async function causesOf(change: (user: Awaited<ReturnType<typeof signUp>>) => Promise<unknown>): Promise<string[]> {
    const user = await signUp(here)
    tokens.push(user.bearer.slice(0, 32))
    await eventually(() => revocations(there).length === revocations(here).length, 'what was before is over')
    const before = revocations(there).length
    await change(user)
    await eventually(() => revocations(there).length > before, 'the other node has heard')
    await eventually(() => revocations(there).length === revocations(here).length, 'both nodes have heard')
    const causes = (node: TestGateway) => [
      ...new Set(
        revocations(node)
          .slice(before)
          .map(({ cause }) => String(cause))
      )
    ]
    t.same(causes(here), causes(there))
    return causes(there)
  }
  const ok = async (answer: Promise<Response>) => t.equal((await answer).status, 200)

  const causes = {
    sign_out: ({ cookie }) => ok(post(here, '/api/auth/sign-out', {}, { cookie })),
    revoke: ({ cookie }) => ok(post(here, '/api/auth/revoke-sessions', {}, { cookie })),
    password_change: async ({ cookie, email }) => {
      await signIn(here, email)
      const body = { currentPassword: PASSWORD, newPassword: `${PASSWORD}!`, revokeOtherSessions: true }
      await ok(post(here, '/api/auth/change-password', body, { cookie }))
    },
    ban: ({ id }) => ok(post(here, '/api/auth/admin/ban-user', { userId: id }, asAdmin)),
    role_change: ({ id }) => ok(post(here, '/api/auth/admin/set-role', { userId: id, role: 'admin' }, asAdmin)),
    user_delete: ({ id }) => ok(post(here, '/api/auth/admin/remove-user', { userId: id }, asAdmin)),
    user_update: ({ cookie }) => ok(post(here, '/api/auth/update-user', { name: 'Countess' }, { cookie })),
    deleted: ({ id }) => sql`delete from auth.session where user_id = ${id}`,
    expiry: ({ id }) => sql`update auth.session set expires_at = now() where user_id = ${id}`
  } satisfies Record<string, Parameters<typeof causesOf>[0]>
  for (const [cause, change] of Object.entries(causes)) t.same(await causesOf(change), [cause], cause)

  const banBySql = ({ id }: { id: string }) => sql`update auth.user set banned = true where id = ${id}`
  t.same(await causesOf(banBySql), ['ban'], 'by SQL')

  for (const line of [...revocations(here), ...revocations(there)]) {
    t.ok(Number(line['lagMs']) >= 0 && Number(line['lagMs']) < 10_000, `${line['cause']}: ${line['lagMs']} ms`)
    t.ok(line['userId'] !== undefined || /^[0-9a-f]{12}$/.test(String(line['session'])))
  }
  const text = JSON.stringify([here.log, there.log])
  for (const token of tokens) t.notOk(text.includes(token))
  const metrics = await metricsOf(there)
  for (const cause of Object.keys(causes)) t.match(metrics, `session_gateway_revocations_total{cause="${cause}"} `)
  t.match(metrics, new RegExp(`revocation_lag_seconds_count ${revocations(there).length}\n`))
  t.match(await metricsOf(here), /lease_wait_seconds_count\{outcome="acknowledged"\} [1-9]/)
})

t.test('ages that cannot be known leave no sample, and a heartbeat that lapsed is endlessly old', async t => {
  const gateway = await startGateway(t, { env: { OUTAGE_MODE: 'strict' } })
  await get(gateway, '/public/x')
  await gateway.redis?.stop()
  await eventually(async () => !/^session_gateway_heartbeat_age_seconds/m.test(await metricsOf(gateway)), 'unknown')
  t.match(await metricsOf(gateway), /^session_gateway_poll_age_seconds \d/m)

  await gateway.redis?.restart()
  await eventually(async () => /^session_gateway_heartbeat_age_seconds [0-2]/m.test(await metricsOf(gateway)), 'back')

  await gateway.postgres.stop()
  await eventually(async () => (await metricsOf(gateway)).includes('heartbeat_age_seconds +Inf'), 'it has lapsed')
  const metrics = await metricsOf(gateway)
  t.match(metrics, /^session_gateway_poll_age_seconds [1-9]/m)
  t.notMatch(metrics, /^session_gateway_outbox_rows/m)
})
