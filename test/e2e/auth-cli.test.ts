/** `role` and `token`, run as an operator runs them, beside a gateway that serves. */
import { execFile } from 'node:child_process'
import t from 'tap'
import { run as role } from '../../src/cli/role.js'
import { run as token } from '../../src/cli/token.js'
import { builtCommand } from '../support/built.js'
import { Browser } from '../support/browser.js'
import { eventually } from '../support/eventually.js'
import { SECRET, startGateway } from '../support/gateway.js'
import { emptyFolder } from '../support/scratch.js'

const gateway = await startGateway(t)
const folder = await emptyFolder(t)
const password = 'correct horse battery'
let people = 0

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** With nothing of this process's environment but PATH and HOME. */
async function cli(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const { PATH, HOME } = process.env
  const own = { PATH, HOME, DATABASE_URL: gateway.postgres.url, BETTER_AUTH_SECRET: SECRET, ...env }
  const command = await builtCommand(...args)
  return new Promise(resolve => {
    execFile(process.execPath, command, { cwd: folder, env: own }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr })
    })
  })
}

async function signedIn() {
  const browser = new Browser(gateway.origin, gateway.origin)
  const email = `person-${++people}@example.com`
  const { status } = await browser.post('/api/auth/sign-up/email', { email, password, name: 'Person' })
  if (status !== 200) throw new Error(`sign-up answered ${status}`)
  return { browser, email }
}

t.test('role makes the first administrator, in force at once for the session that is there', async t => {
  const { browser, email } = await signedIn()
  t.equal((await browser.get('/api/a/admin/x')).status, 403)

  const { code, stdout } = await cli(['role', email.toUpperCase(), 'admin'])

  t.equal(code, 0)
  t.match(stdout, /admin/)
  await eventually(async () => (await browser.get('/api/a/admin/x')).status === 200, 'the new role is in force', 2_000)
  t.equal((await cli(['role', email, 'user'])).code, 0)
  await eventually(async () => (await browser.get('/api/a/admin/x')).status === 403, 'the old role is gone', 2_000)
})

t.test('token is a session like any other: it calls, is listed, and ends by sign-out', async t => {
  const { browser, email } = await signedIn()

  const { code, stdout } = await cli(['token', email])

  t.equal(code, 0)
  const headers = { authorization: `Bearer ${stdout.trim()}` }
  t.equal((await fetch(`${gateway.origin}/api/a/x`, { headers })).status, 200)
  t.match((await browser.get('/api/auth/list-sessions')).text, /"userAgent":"session-gateway token"/)
  t.equal((await fetch(`${gateway.origin}/api/auth/sign-out`, { method: 'POST', headers })).status, 200)
  t.equal((await fetch(`${gateway.origin}/api/a/x`, { headers })).status, 401)
})

t.test('what is wrong is said in a sentence, and nothing is printed that could be taken for a token', async t => {
  const [unknown, noSecret] = await Promise.all([
    cli(['token', 'nobody@example.com']),
    cli(['token', 'nobody@example.com'], { BETTER_AUTH_SECRET: '', NODE_ENV: 'production' })
  ])
  t.match(unknown, { code: 1, stdout: '', stderr: /no user/ })
  t.match(noSecret, { code: 78, stdout: '' }, 'a token signed with a made-up secret would open nothing')
  t.match(await cli(['role', 'nobody@example.com', 'admin']), { code: 1, stdout: '', stderr: /no user/ })
})

t.test('arguments that make no sense are refused before anything is opened', async t => {
  await t.rejects(role(['ada@example.com']), /EMAIL and ROLE/)
  await t.rejects(role(['ada@example.com', 'admin', 'more']), /EMAIL and ROLE/)
  await t.rejects(role(['ada@example.com', 'ad min']), /is no role/)
  await t.rejects(role(['ada@example.com', "admin'; drop table x"]), /is no role/)
  await t.rejects(token([]), /EMAIL/)
  await t.rejects(token(['ada@example.com', 'more']), /EMAIL/)
})
