/** A connection lost in the middle of a transaction of Better Auth: one 503, and the process goes on (soak, issue 4). */
import t from 'tap'
import { eventually } from '../support/eventually.js'
import { PASSWORD } from '../support/gateway.js'
import { postTo, startGatewayPair } from '../support/gateway-pair.js'

t.test('connections that end while a sign-up hashes its password end no gateway', async t => {
  const { a, sql } = await startGatewayPair(t, { env: { LOG_LEVEL: 'fatal' } })
  const signUp = async (name: string) => {
    const account = { name, email: `${name}@example.com`, password: PASSWORD }
    return (await postTo(a, '/api/auth/sign-up/email', {}, account)).status
  }
  const endOne = async () =>
    (
      await sql`select pg_terminate_backend(pid) from pg_stat_activity
        where usename = 'gateway' and state = 'idle in transaction'`
    ).length > 0

  for (let i = 0; i < 3; i++) {
    const answer = signUp(`lost${i}`)
    await eventually(endOne, 'a transaction that waits for a hash')
    t.equal(await answer, 503)
  }
  await eventually(async () => (await signUp(`later${performance.now()}`)) === 200, 'signed up')
  t.equal(a.child.exitCode, null)
  t.notMatch(a.stdout(), 'uncaughtException')
})
