import { execFile } from 'node:child_process'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { builtCommand } from '../support/built.js'
import { emptyFolder } from '../support/scratch.js'
import { startShapes } from '../support/shapes.js'

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** In a folder of its own: a `.env` or `.data` of the repository is none of its business. */
async function migrate(t: Test, env: Readonly<Record<string, string>>, ...args: string[]): Promise<Outcome> {
  const cwd = await emptyFolder(t)
  const command = await builtCommand('migrate', ...args)
  return new Promise(resolve => {
    const options = { cwd, env: { PATH: process.env.PATH, ...env } }
    execFile(process.execPath, command, options, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr })
    )
  })
}

const asServing = (url: string) => url.replace(/\/\/[^@]*@/, '//serving:serving@')

t.test('session-gateway migrate', async t => {
  const shapes = await startShapes(t)

  t.test('prepares an empty database, and has nothing to do afterwards', async t => {
    const { url } = await shapes.empty(t)

    const first = await migrate(t, { DATABASE_URL: url })
    const second = await migrate(t, { DATABASE_URL: url })

    t.match(first, { code: 0, stdout: /triggers of revocation.*Schema "auth" is up to date/s, stderr: '' })
    t.match(second, { code: 0, stdout: 'Schema "auth" is up to date.\n', stderr: '' })
  })

  t.test('prints the SQL it leaves to the owner, and exits with 78', async t => {
    const { url } = await shapes.open(t, 'kysely-1.7.1')

    const { code, stdout, stderr } = await migrate(t, { DATABASE_URL: url })

    t.equal(code, 78)
    t.equal(stdout, '')
    t.match(stderr, 'ALTER TABLE "public"."account" ALTER COLUMN "issuer" DROP NOT NULL;')
    t.notMatch(stderr, new URL(url).password)
  })

  t.test('prints the grants of another role and changes nothing (R75)', async t => {
    const { url, sql } = await shapes.open(t, 'kysely-text')

    const { code, stdout } = await migrate(t, { DATABASE_URL: url }, '--grants', 'app')

    t.equal(code, 0)
    t.match(stdout, 'GRANT SELECT, INSERT, UPDATE, DELETE ON "public"."session" TO "app";')
    t.match(await sql`select to_regclass('public.gateway_outbox') as it`, [{ it: null }])
  })

  const operator = postgres(shapes.server.superUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => operator.end())
  await operator`create role serving login password 'serving'`

  for (const shape of ['ours', 'kysely-text']) {
    t.test(`run as the role that serves says who has to run it, and changes nothing: ${shape} (R75)`, async t => {
      const { url, sql } = await shapes.open(t, shape)
      await migrate(t, { DATABASE_URL: url })
      await sql.unsafe((await migrate(t, { DATABASE_URL: url }, '--grants', 'serving')).stdout)
      await sql.unsafe(`drop trigger gateway_session_deleted on ${shape === 'ours' ? 'auth.' : ''}session`)

      const { code, stderr } = await migrate(t, { DATABASE_URL: asServing(url) })

      t.equal(code, 78)
      t.match(stderr, /^env DATABASE_URL: the role "serving" may not .*owner of the tables, "gateway"\.$/m)
      t.notMatch(stderr, 'serving:serving')
      t.equal((await sql`select from pg_trigger where tgname = 'gateway_session_deleted'`).length, 0)
      t.match(await migrate(t, { DATABASE_URL: asServing(url), DATABASE_DIRECT_URL: url }), { code: 0 })
    })
  }

  t.test('run by a stranger on an empty database names the owner of the database', async t => {
    const { url } = await shapes.empty(t)

    const { code, stderr } = await migrate(t, { DATABASE_URL: url, DATABASE_DIRECT_URL: asServing(url) })

    t.equal(code, 78)
    t.match(stderr, /^env DATABASE_DIRECT_URL: the role "serving" .*"gateway"\.$/m)
  })

  t.test('asks for the database alone: a job that migrates has no other setting', async t => {
    const { url } = await shapes.empty(t)

    t.match(await migrate(t, { NODE_ENV: 'production', DATABASE_URL: url }), { code: 0 })
    t.match(await migrate(t, { NODE_ENV: 'production' }), { code: 78, stderr: /DATABASE_URL/ })
  })
})
