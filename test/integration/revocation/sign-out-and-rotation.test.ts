/**
 * A session that changes its token while somebody ends it (R42 and R43): whichever comes first, it has ended when the
 * answer says so, under both tokens.
 */
import t from 'tap'
import { rotationSql } from '../../../schema/rotation-sql.js'
import { inspectAuthShape } from '../../../src/data/inspect-auth.js'
import { signToken } from '../../../src/session/credential.js'
import { eventually } from '../../support/eventually.js'
import { get, post, SECRET, signIn, signUp, startGateway, type TestUser } from '../../support/gateway.js'

const gateway = await startGateway(t)
const { sql } = gateway
const shape = await inspectAuthShape(sql, { schema: null, mode: 'hosted' }, () => {})
const { rotate } = rotationSql(shape)
let tokens = 0

const tokenOf = ({ bearer }: Pick<TestUser, 'bearer'>) => bearer.slice(0, bearer.indexOf('.'))
const statusOf = async (bearer: string) =>
  (await get(gateway, '/api/a/x', { authorization: `Bearer ${bearer}` })).status

for (const [name, ask] of Object.entries({
  'sign-out': (ada: TestUser) => post(gateway, '/api/auth/sign-out', {}, { cookie: ada.cookie }),
  'revoke-sessions': (ada: TestUser) => post(gateway, '/api/auth/revoke-sessions', {}, { cookie: ada.cookie }),
  'revoke-session': async (ada: TestUser) => {
    const { cookie } = await signIn(gateway, ada.email)
    return post(gateway, '/api/auth/revoke-session', { token: tokenOf(ada) }, { cookie })
  }
})) {
  t.test(`${name} waits for a change of token that is under way, and ends what comes of it`, async t => {
    const ada = await signUp(gateway)
    await sql`update auth."user" set role = 'support' where id = ${ada.id}`
    const fresh = `fresh-token-of-32-characters-${String(++tokens).padStart(3, '0')}`
    const other = await sql.reserve()
    await other`begin`
    const [rotated] = await other.unsafe(rotate, [tokenOf(ada), fresh])
    t.ok(rotated, 'it is due')

    const answer = ask(ada)
    const waiting = () => sql`select from pg_stat_activity
      where application_name like 'session-gateway%' and wait_event_type = 'Lock'`
    await eventually(async () => (await waiting()).length > 0, 'its delete waits for the row')
    await other`commit`
    other.release()

    t.equal((await answer).status, 200)
    t.equal(await statusOf(signToken(fresh, SECRET)), 401)
    t.equal(await statusOf(ada.bearer), 401)
    t.equal((await sql`select from auth.session where token = ${fresh}`).length, 0)
  })
}
