import t from 'tap'
import { ConfigError } from '../../../src/errors.js'
import { inspectAuth, inspectAuthShape } from '../../../src/data/inspect-auth.js'
import { SHAPES, shapeOf, startShapes } from '../../support/shapes.js'

const HOSTED = { schema: null, mode: 'hosted' } as const
const ATTACHED = { schema: null, mode: 'attached' } as const

t.test('inspection of a database', async t => {
  const shapes = await startShapes(t)

  for (const { name, schema, idKind, user, session, zoned, organizations } of SHAPES) {
    t.test(`recognises ${name} (R74, R78)`, async t => {
      const { sql } = await shapes.open(t, name)

      const shape = await shapeOf(sql)

      t.equal(shape.schema, schema)
      t.equal(shape.idKind, idKind)
      t.equal(shape.tables.user.name, user)
      t.equal(shape.tables.session.name, session)
      t.equal(shape.tables.session.columns.expiresAt?.type, `timestamp with${zoned ? '' : 'out'} time zone`)
      t.equal(shape.tables.member !== undefined, organizations)
      t.match(shape.tables, { account: {}, verification: {}, jwks: {} })
    })
  }

  t.test('finds the one schema among tables of other applications', async t => {
    const { sql } = await shapes.open(t, 'drizzle-uuid-in-schema')
    await sql`create table refresh_tokens (id text primary key, token text unique, user_id text, expires_at timestamp)`
    await sql`create table "user" (id serial primary key, email text, active boolean)`

    const shape = await shapeOf(sql)

    t.equal(shape.schema, 'identity')
  })

  t.test('is not misled by a copy of the sessions in the same schema', async t => {
    const { sql } = await shapes.open(t, 'kysely-text')
    await sql`create table session_backup as table session`

    const shape = await shapeOf(sql)

    t.equal(shape.tables.session.name, 'session')
  })

  t.test('refuses to choose between two Better Auths, and takes the one that DATABASE_SCHEMA names', async t => {
    const { sql } = await shapes.open(t, 'drizzle-uuid-in-schema')
    await sql.unsafe('create schema elsewhere; create table elsewhere.session (like identity.session including all)')
    await sql.unsafe('create table elsewhere."user" (like identity."user" including all)')
    await sql.unsafe('alter table elsewhere.session add foreign key (user_id) references elsewhere."user" (id)')

    await t.rejects(shapeOf(sql), {
      constructor: ConfigError,
      message: /elsewhere\.session, identity\.session.*DATABASE_SCHEMA/
    })

    const shape = await inspectAuthShape(sql, { ...ATTACHED, schema: 'elsewhere' })
    t.equal(shape.schema, 'elsewhere')
  })

  t.test('refuses to choose between two spellings of one column', async t => {
    const { sql } = await shapes.open(t, 'kysely-text')
    await sql`alter table session add column expires_at timestamptz`

    await t.rejects(shapeOf(sql), { constructor: ConfigError, message: /"expiresAt" and "expires_at"/ })
  })

  t.test('tells an empty database from one without Better Auth, and says what to run', async t => {
    const { sql } = await shapes.empty(t)

    t.match(await inspectAuth(sql, HOSTED), { kind: 'absent', empty: true })
    await sql`create table orders (id serial)`
    t.match(await inspectAuth(sql, HOSTED), { kind: 'absent', empty: false })
    await t.rejects(shapeOf(sql), { message: /session-gateway migrate/ })
  })

  t.test('hosted: names the tables and columns that a plain Better Auth lacks, with the SQL (R77)', async t => {
    for (const name of ['kysely-core', 'drizzle-core']) {
      const { sql } = await shapes.open(t, name)

      const { problems } = await inspectAuth(sql, HOSTED)

      const mends = problems.flatMap(({ mend }) => mend).join('\n')
      for (const column of [
        'role',
        'banned',
        'banReason|ban_reason',
        'banExpires|ban_expires',
        'impersonatedBy|impersonated_by'
      ]) {
        t.match(mends, new RegExp(`ADD COLUMN IF NOT EXISTS "(${column})"`))
      }
      t.match(mends, /CREATE TABLE IF NOT EXISTS "public"."jwks"/)
      t.ok(problems.every(({ additive }) => additive))
    }
  })

  t.test('attached: a plain Better Auth is enough', async t => {
    for (const name of ['kysely-core', 'drizzle-core', 'kysely-1.7.1']) {
      const { sql } = await shapes.open(t, name)
      t.match(await inspectAuth(sql, ATTACHED), { kind: 'found', problems: [] })
    }
  })

  const broken: readonly (readonly [string, string, RegExp, string])[] = [
    [
      'token without a unique index (R79e)',
      'alter table session drop constraint session_token_key',
      /"token" has no unique index/,
      'CREATE UNIQUE INDEX'
    ],
    [
      'token unique for some rows only',
      `alter table session drop constraint session_token_key; create unique index on session (token) where "userId" <> ''`,
      /"token" has no unique index/,
      'CREATE UNIQUE INDEX'
    ],
    [
      'sessions without an index on their user',
      'drop index "session_userId_idx"',
      /"userId" has no index/,
      'CREATE INDEX'
    ],
    [
      'an address of type inet (R79a)',
      'alter table session alter "ipAddress" type inet using null',
      /"ipAddress" is inet/,
      'TYPE text USING host('
    ],
    [
      'a flag that is no boolean (R79b)',
      'alter table "user" alter "emailVerified" type text',
      /"emailVerified" is text/,
      ''
    ],
    [
      'a missing column (R79d)',
      'alter table session drop column "userAgent"',
      /no column for "userAgent"/,
      'ADD COLUMN IF NOT EXISTS "userAgent" text'
    ],
    [
      'a column that Better Auth never writes',
      'alter table account add issuer text not null',
      /"issuer" is NOT NULL/,
      'DROP NOT NULL'
    ],
    [
      'a role without rights on the table (R75)',
      'revoke insert on session from gateway',
      /lacks SELECT, INSERT, UPDATE, DELETE/,
      'GRANT SELECT, INSERT'
    ]
  ]
  for (const [what, change, message, mend] of broken) {
    t.test(`refuses ${what}, and says how to mend it (I05)`, async t => {
      const { sql } = await shapes.open(t, 'kysely-text')
      await sql.unsafe(change)

      const error = await shapeOf(sql).catch(error => error)

      t.ok(error instanceof ConfigError)
      t.equal(error.problems.length, 1)
      t.match(error.message, message)
      t.ok(error.message.includes(mend))
    })
  }

  t.test('what it says mends the database', async t => {
    for (const [, change, , mend] of broken) {
      if (mend === '') continue
      const { sql } = await shapes.open(t, 'kysely-text')
      await sql.unsafe(change)
      const { problems } = await inspectAuth(sql, HOSTED)

      for (const statement of problems.flatMap(({ mend }) => mend)) await sql.unsafe(statement)

      t.same((await inspectAuth(sql, HOSTED)).problems, [], change)
    }
  })

  t.test('refuses the account table of Better Auth 1.7.0 to 1.7.2, whose issuer nobody writes any more', async t => {
    const { sql } = await shapes.open(t, 'kysely-1.7.1')

    await t.rejects(shapeOf(sql), { message: /"issuer" is NOT NULL without a default.*DROP NOT NULL/s })
  })

  t.test('refuses to host users with second factors whose table it does not find', async t => {
    const { sql } = await shapes.open(t, 'kysely-two-factor')
    t.match((await shapeOf(sql)).tables, { twoFactor: { name: 'twoFactor' } })
    await sql`create schema elsewhere`
    await sql`alter table "twoFactor" set schema elsewhere`

    await t.rejects(shapeOf(sql), { message: /"twoFactorEnabled".*second factors/ })
    await t.resolves(inspectAuthShape(sql, ATTACHED))
  })

  t.test('warns of sessions that outlive a deleted user in the table (R79f)', async t => {
    const { sql } = await shapes.open(t, 'kysely-text')
    await sql.unsafe('alter table session drop constraint "session_userId_fkey"')

    const { problems, warnings } = await inspectAuth(sql, HOSTED)

    t.same(problems, [])
    t.match(warnings, [{ place: 'table public.session', mend: [/ON DELETE CASCADE/] }])
    for (const statement of warnings.flatMap(({ mend }) => mend)) await sql.unsafe(statement)
    t.same((await inspectAuth(sql, HOSTED)).warnings, [])
  })
})
