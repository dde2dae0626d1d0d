/**
 * Databases as Better Auth's generators make them (`test/fixtures/shapes`), each in a database of its own on one
 * server, and rows in them: named by Better Auth's fields, whatever the columns are called.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import postgres, { type Sql } from 'postgres'
import type { AuthModelName } from '../../src/data/auth-models.js'
import type { AuthShape } from '../../src/data/auth-shape.js'
import { inspectAuthShape } from '../../src/data/inspect-auth.js'
import { migrate } from '../../src/data/migrate.js'
import { ident } from '../../src/data/sql-text.js'
import { startPostgres, type TestPostgres } from './postgres.js'

type Scope = { teardown: (fn: () => unknown) => unknown }

export interface ShapeFixture {
  readonly name: string
  readonly schema: string
  readonly idKind: AuthShape['idKind']
  readonly user: string
  readonly session: string
  /** `timestamptz`, or `timestamp` holding UTC. */
  readonly zoned: boolean
  readonly organizations: boolean
}

const singular = { schema: 'public', user: 'user', session: 'session' }
const renamed = { user: 'users', session: 'user_sessions' }

/** `ours` stands for what our own migrations make. */
export const SHAPES: readonly ShapeFixture[] = [
  { name: 'ours', ...singular, schema: 'auth', idKind: 'text', zoned: true, organizations: true },
  { name: 'kysely-text', ...singular, idKind: 'text', zoned: true, organizations: true },
  { name: 'kysely-uuid', ...singular, idKind: 'uuid', zoned: true, organizations: true },
  { name: 'kysely-two-factor', ...singular, idKind: 'text', zoned: true, organizations: false },
  { name: 'kysely-serial', ...singular, idKind: 'serial', zoned: true, organizations: true },
  {
    name: 'kysely-renamed-in-schema',
    ...renamed,
    schema: 'accounts',
    idKind: 'text',
    zoned: true,
    organizations: false
  },
  { name: 'drizzle-text', ...singular, idKind: 'text', zoned: false, organizations: true },
  {
    name: 'drizzle-uuid-in-schema',
    ...singular,
    schema: 'identity',
    idKind: 'uuid',
    zoned: false,
    organizations: true
  },
  { name: 'drizzle-serial-camel', ...singular, idKind: 'serial', zoned: false, organizations: true },
  { name: 'drizzle-plural-renamed', ...renamed, schema: 'public', idKind: 'text', zoned: false, organizations: true }
]

export interface ShapeServer {
  readonly server: TestPostgres
  /** A new empty database; the client is closed by the test. */
  empty: (scope: Scope) => Promise<Database>
  /** A new database made by the fixture of that name. */
  open: (scope: Scope, name: string) => Promise<Database>
}

export interface Database {
  readonly url: string
  readonly sql: Sql
}

export async function startShapes(scope: Scope): Promise<ShapeServer> {
  const server = await startPostgres(scope)
  const operator = postgres(server.superUrl, { max: 1, onnotice: () => {} })
  scope.teardown(() => operator.end({ timeout: 1 }))

  const empty: ShapeServer['empty'] = async scope => {
    const name = `shape_${randomBytes(6).toString('hex')}`
    await operator.unsafe(`create database ${name} owner gateway`)
    const url = server.url.replace(/\/gateway$/, `/${name}`)
    const sql = postgres(url, { max: 3, onnotice: () => {} })
    scope.teardown(() => sql.end({ timeout: 1 }))
    return { url, sql }
  }
  return {
    server,
    empty,
    open: async (scope, name) => {
      const database = await empty(scope)
      if (name === 'ours') await migrate(database.sql, { schema: null, mode: 'hosted' }, () => {})
      else await database.sql.unsafe(await fixture(name))
      return database
    }
  }
}

async function fixture(name: string): Promise<string> {
  const sql = await readFile(join(import.meta.dirname, `../fixtures/shapes/${name}.sql`), 'utf8')
  return `${sql}\nset search_path to default`
}

/** Throws ConfigError like the gateway's start. */
export function shapeOf(sql: Sql): Promise<AuthShape> {
  return inspectAuthShape(sql, { schema: null, mode: 'hosted' })
}

export function tableName(shape: AuthShape, model: AuthModelName): string {
  return `${ident(shape.schema)}.${ident(shape.tables[model]?.name ?? '')}`
}

export function columnName(shape: AuthShape, model: AuthModelName, field: string): string {
  return ident(shape.tables[model]?.columns[field]?.name ?? '')
}

type Value = string | number | boolean | Date | null
type Row = Readonly<Record<string, Value>>

/** Resolves with the row's id. What the table demands and the test does not care about is filled in. */
export async function insert(sql: Sql, shape: AuthShape, model: AuthModelName, row: Row): Promise<string> {
  const table = shape.tables[model]
  if (table === undefined) throw new TypeError(`no table for ${model}`)
  const times = { createdAt: new Date(), updatedAt: new Date() }
  const id =
    shape.idKind === 'text'
      ? { id: randomBytes(8).toString('hex') }
      : shape.idKind === 'uuid'
        ? { id: randomUUID() }
        : {}
  const values: Row = { ...times, ...id, ...FILLED[model]?.(), ...row }
  const fields = Object.keys(values).filter(field => table.columns[field] !== undefined)
  const names = fields.map(field => columnName(shape, model, field)).join(', ')
  const places = fields.map((_, index) => `$${index + 1}`).join(', ')
  const [inserted] = await sql.unsafe<[{ id: string }]>(
    `insert into ${tableName(shape, model)} (${names}) values (${places}) returning id::text`,
    fields.map(field => values[field] as Value)
  )
  return inserted.id
}

const FILLED: Readonly<Partial<Record<AuthModelName, () => Row>>> = {
  user: () => ({
    name: 'Ada',
    email: `${randomBytes(6).toString('hex')}@example.com`,
    emailVerified: true,
    role: 'user'
  }),
  session: () => ({ token: randomBytes(16).toString('hex'), expiresAt: inSeconds(3600) }),
  organization: () => ({ name: 'Engines', slug: randomBytes(6).toString('hex') }),
  member: () => ({ role: 'owner' })
}

export function inSeconds(seconds: number): Date {
  return new Date(Date.now() + seconds * 1000)
}

/** Changes the one row with this id. */
export async function update(sql: Sql, shape: AuthShape, model: AuthModelName, id: string, row: Row): Promise<void> {
  const fields = Object.keys(row)
  const places = fields.map((field, index) => `${columnName(shape, model, field)} = $${index + 2}`).join(', ')
  const text = `update ${tableName(shape, model)} set ${places} where id::text = $1`
  await sql.unsafe(text, [id, ...fields.map(field => row[field] as Value)])
}
