/** Nothing has to be scheduled: a gateway that runs clears away what has expired (R32). */
import t from 'tap'
import { eventually } from '../support/eventually.js'
import { migratedPostgres, startGateway } from '../support/gateway.js'

t.test('a running gateway clears away what has expired; an attached one leaves it to the other server', async t => {
  const postgres = await migratedPostgres(t)
  const attached = await startGateway(t, { postgres, redis: false, env: { AUTH_MODE: 'attached' } })
  const { sql } = attached
  await sql`insert into auth.user (id, name, email) values ('ada', 'Ada', 'ada@example.com')`
  await sql`insert into auth.session (id, token, user_id, expires_at)
            values ('old', 'old', 'ada', now() - interval '2 hours'), ('live', 'live', 'ada', now() + interval '1 hour')`
  const hosted = await startGateway(t, { postgres, redis: false })
  const line = () => hosted.log.find(({ event }) => event === 'sweep')

  await eventually(() => line() !== undefined, 'the first round', 15_000)

  t.match(line(), { session: 1 })
  t.match(await sql`select id from auth.session`, [{ id: 'live' }])
  t.notOk(attached.log.some(({ event }) => event === 'sweep'))
})
