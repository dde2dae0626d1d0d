/**
 * Writes the sessions where each gate looks for them: a database of its own for each, and Better Auth's Redis storage.
 */
import type { Redis } from 'ioredis'
import postgres from 'postgres'
import type { SeededSession } from './sessions.js'

const DAY_MS = 86_400_000
/** A statement takes 65,535 parameters at most. */
const BATCH = 2_000

type Row = Record<string, string | boolean | Date>

const rowOf = { user: userRow, session: sessionRow }

/** Works on any spelling of Better Auth's columns: the tables say which one they use. */
export async function seedDatabase(
  url: string,
  schema: string,
  sessions: readonly SeededSession[],
  tables: readonly (keyof typeof rowOf)[] = ['user', 'session']
): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined })
  try {
    for (const table of tables) {
      const columns = await columnsOf(sql, schema, table)
      const rows = sessions.map(session => spelled(rowOf[table](session), columns))
      for (let i = 0; i < rows.length; i += BATCH) {
        await sql`insert into ${sql(schema)}.${sql(table)} ${sql(rows.slice(i, i + BATCH))}`
      }
    }
    await sql`analyze`
  } finally {
    await sql.end()
  }
}

async function columnsOf(sql: postgres.Sql, schema: string, table: string): Promise<Map<string, string>> {
  const rows = await sql<{ name: string }[]>`
    select column_name as name from information_schema.columns
    where table_schema = ${schema} and table_name = ${table}`
  if (rows.length === 0) throw new Error(`no table ${schema}.${table}`)
  return new Map(rows.map(({ name }) => [name.replaceAll('_', '').toLowerCase(), name]))
}

function spelled(row: Row, columns: ReadonlyMap<string, string>): Row {
  const pairs = Object.entries(row).map(([name, value]) => [columns.get(name.toLowerCase()) ?? name, value])
  return Object.fromEntries(pairs) as Row
}

function userRow({ userId, email }: SeededSession): Row {
  const now = new Date()
  return { id: userId, name: 'Bench', email, emailVerified: true, role: 'user', createdAt: now, updatedAt: now }
}

function sessionRow({ id, token, userId }: SeededSession): Row {
  const now = new Date()
  const expiresAt = new Date(now.getTime() + 7 * DAY_MS)
  return { id, token, userId, expiresAt, createdAt: now, updatedAt: now, ipAddress: '', userAgent: 'bench' }
}

/** As Better Auth's `secondaryStorage` keeps a session: under its bare token, session and user in one. */
export async function seedSecondaryStorage(redis: Redis, sessions: readonly SeededSession[]): Promise<void> {
  const pipeline = redis.pipeline()
  for (const session of sessions) {
    const value = { session: sessionRow(session), user: userRow(session) }
    pipeline.set(session.token, JSON.stringify(value), 'EX', 7 * (DAY_MS / 1_000))
  }
  await pipeline.exec()
}
