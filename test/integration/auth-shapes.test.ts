/** Better Auth writes every shape of database the gateway recognises, and revocation is honest on each. */
import t from 'tap'
import { APP_ORIGIN, startAuthServer } from '../support/auth-server.js'
import { Browser } from '../support/browser.js'
import { columnName, SHAPES, shapeOf, startShapes, tableName } from '../support/shapes.js'

const shapes = await startShapes(t)
const password = 'correct horse battery'

for (const { name } of SHAPES) {
  t.test(`accounts, sessions and roles live in ${name}`, async t => {
    const { url, sql } = await shapes.open(t, name)
    const server = await startAuthServer(t, { url })
    const [ada, phone, grace] = Array.from({ length: 3 }, () => new Browser(server.url, APP_ORIGIN)) as [
      Browser,
      Browser,
      Browser
    ]
    const email = 'ada@example.com'

    const signUp = await ada.post('/api/auth/sign-up/email', { email, password, name: 'Ada' })
    t.match(signUp, { status: 200, json: { user: { email, role: 'user', emailVerified: false } } })
    t.equal((await phone.post('/api/auth/sign-in/email', { email, password })).status, 200)
    t.match((await phone.get('/api/auth/get-session')).json, {
      user: { email },
      session: { userId: signUp.at('user.id') }
    })
    t.equal(((await ada.get('/api/auth/list-sessions')).json as unknown[]).length, 2)

    t.equal((await ada.post('/api/auth/revoke-other-sessions')).status, 200)
    t.equal((await phone.get('/api/auth/get-session')).json, null)

    const { json } = await grace.post('/api/auth/sign-up/email', {
      email: 'grace@example.com',
      password,
      name: 'Grace'
    })
    const { user } = json as { user: { id: string } }
    const shape = await shapeOf(sql)
    const [users, role, address] = [
      tableName(shape, 'user'),
      columnName(shape, 'user', 'role'),
      columnName(shape, 'user', 'email')
    ]
    await sql.unsafe(`update ${users} set ${role} = 'admin' where ${address} = $1`, [email])
    t.equal((await ada.post('/api/auth/admin/set-role', { userId: user.id, role: 'admin' })).status, 200)
    t.match((await grace.get('/api/auth/get-session')).json, { user: { role: 'admin' } })
    t.equal((await ada.post('/api/auth/admin/ban-user', { userId: user.id, banExpiresIn: 3600 })).status, 200)
    t.equal((await grace.get('/api/auth/get-session')).json, null)
    t.ok([400, 404].includes((await ada.post('/api/auth/admin/ban-user', { userId: 'no id at all' })).status))

    await ada.post('/api/auth/request-password-reset', { email })
    const { token } = server.mails.findLast(mail => mail.kind === 'password-reset') ?? {}
    t.equal((await phone.post('/api/auth/reset-password', { newPassword: 'another horse battery', token })).status, 200)
    t.equal((await ada.get('/api/auth/get-session')).json, null)

    t.equal((await ada.post('/api/auth/sign-in/email', { email, password: 'another horse battery' })).status, 200)
    t.equal((await ada.get('/api/auth/token')).status, 200)
    t.equal((await ada.post('/api/auth/sign-out')).status, 200)
    const sessions = await sql.unsafe(`select 1 from ${tableName(shape, 'session')}`)
    t.equal(sessions.length, 0)
  })
}
