/** `npm start` in an empty folder: no database, no Redis, no configuration, and the lines it prints work as printed. */
import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { isUp, spawnGateway } from '../support/process.js'
import { emptyFolder } from '../support/scratch.js'

const sh = promisify(execFile)

t.test(
  'the printed curl lines sign up, call and sign out; a second start knows the user; Ctrl-C ends all of it',
  async t => {
    const folder = await emptyFolder(t)
    const first = await spawnGateway(t, folder)
    await isUp(first)

    const lines = first
      .stdout()
      .split('\n')
      .filter(line => line.startsWith('  curl '))
    t.equal(lines.length, 3)
    const [signUp = '', call = '', signOut = ''] = lines
    t.match(JSON.parse(await run(signUp)), { user: { email: 'ada@example.com' } })
    t.match(JSON.parse(await run(call)), { upstreamReceived: { 'x-user-email': 'ada@example.com' } })
    t.strictSame(JSON.parse(await run(signOut)), { success: true })
    t.match(JSON.parse(await run(call)), { code: 'INVALID_SESSION' })
    t.match(JSON.parse(await run(`curl -sS ${first.origin}/api/public/x`)), { youCalled: 'GET /api/public/x' })

    first.signal('SIGINT')
    t.equal(await first.ended, 0)

    for (const [name, mode] of [
      ['.data', 0o700],
      ['.data/secret', 0o600],
      ['.data/postgres.json', 0o600]
    ] as const) {
      t.equal((await stat(join(folder, name))).mode & 0o777, mode, name)
    }
    t.equal(await postgresIn(folder), '', 'no PostgreSQL is left behind')

    const second = await spawnGateway(t, folder, { PORT: String(first.port) })
    await isUp(second)
    const signIn = signUp.replace('/sign-up/email', '/sign-in/email')
    t.match(JSON.parse(await run(signIn)), { user: { email: 'ada@example.com' } })
    second.signal('SIGTERM')
    t.equal(await second.ended, 0)
    t.equal(await postgresIn(folder), '')

    async function run(line: string): Promise<string> {
      return (await sh('sh', ['-c', line], { cwd: folder })).stdout
    }
  }
)

async function postgresIn(folder: string): Promise<string> {
  const { stdout } = await sh('ps', ['-eo', 'args'])
  return stdout
    .split('\n')
    .filter(line => line.includes('postgres') && line.includes(folder))
    .join('\n')
}
