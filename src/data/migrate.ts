/**
 * Brings a database to what the gateway needs, in one transaction: tables where there are none, what is missing in
 * a Better Auth database that exists, the triggers of revocation everywhere. Safe to run again and at the same time
 * from several machines. Never drops, never rewrites: what only an owner can decide is refused with the SQL.
 */
import { fileURLToPath } from 'node:url'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import type { ISql, Sql, TransactionSql } from 'postgres'
import { AUTH_SCHEMA } from '../../schema/auth.js'
import { revocationInstalled, revocationSql } from '../../schema/revocation-sql.js'
import { ConfigError } from '../errors.js'
import type { Finding } from './finding.js'
import type { AuthShape } from './auth-shape.js'
import { type InspectOptions, inspectAuth, inspectAuthShape } from './inspect-auth.js'
import { ident } from './sql-text.js'

/** The same place seen from src/ and from dist/src/. */
const MIGRATIONS = fileURLToPath(new URL('../../schema/migrations', import.meta.url))

/** Any fixed number: whoever holds it migrates, the others wait. */
const LOCK = 7_364_900_211

/** `log` gets a line for each thing done, before it is done; none when there is nothing to do. */
export async function migrate(sql: Sql, options: InspectOptions, log: (line: string) => void): Promise<AuthShape> {
  const shape = await sql.begin(async tx => {
    // Transaction-level: a session lock taken through a pooler would stay with somebody else's connection.
    await tx`select pg_advisory_xact_lock(${LOCK})`
    await tx`select set_config('lock_timeout', '10s', true)`
    await createOrUpdateTables(tx, options, log)
    await mend(tx, options, log)
    const shape = await inspectAuthShape(tx, options)
    if (!(await revocationInstalled(tx, shape))) {
      log(`triggers of revocation: schema "${shape.schema}"`)
      await tx.unsafe(revocationSql(shape))
    }
    return shape
  })
  return shape as AuthShape
}

/** Our own tables: all of them, or what a newer version of us adds. A database somebody else made has no journal. */
async function createOrUpdateTables(
  tx: TransactionSql,
  options: InspectOptions,
  log: (line: string) => void
): Promise<void> {
  const inspection = await inspectAuth(tx, options)
  if (inspection.kind === 'absent' && options.mode === 'attached') {
    const message = 'has no tables of Better Auth. With AUTH_MODE=attached the Better Auth elsewhere creates them.'
    throw new ConfigError([{ place: 'env DATABASE_URL', message }])
  }
  const schema = inspection.kind === 'found' ? inspection.shape.schema : (options.schema ?? AUTH_SCHEMA)
  const applied = await lastApplied(tx, schema)
  if (inspection.kind === 'found' && applied === null) return

  const pending = readMigrationFiles({ migrationsFolder: MIGRATIONS }).filter(
    file => file.folderMillis > (applied ?? 0)
  )
  if (pending.length === 0) return
  await createSchema(tx, schema)
  await tx.unsafe(
    `CREATE TABLE IF NOT EXISTS ${journal(schema)} (id serial PRIMARY KEY, hash text NOT NULL, created_at bigint)`
  )
  for (const { sql, hash, folderMillis } of pending) {
    log(`migration ${new Date(folderMillis).toISOString()}: schema "${schema}"`)
    for (const statement of sql) {
      if (/^\s*CREATE SCHEMA/.test(statement)) continue
      // The files name the schema they were made for; names of ours never contain it otherwise.
      await tx.unsafe(statement.replaceAll(ident(AUTH_SCHEMA), ident(schema)))
    }
    await tx.unsafe(`INSERT INTO ${journal(schema)} (hash, created_at) VALUES ($1, $2)`, [hash, folderMillis])
  }
}

/** Not drizzle's own name: the application that shares the schema may keep its migrations under that. */
function journal(schema: string): string {
  return `${ident(schema)}."gateway_migrations"`
}

async function lastApplied(tx: ISql, schema: string): Promise<number | null> {
  const [found] = await tx<[{ exists: boolean }]>`select to_regclass(${journal(schema)}) is not null as exists`
  if (!found.exists) return null
  const [last] = await tx.unsafe<[{ at: number }]>(`SELECT max(created_at)::float8 AS at FROM ${journal(schema)}`)
  return last.at
}

/** Not IF NOT EXISTS: that asks for the right to create schemas even when there is nothing to create. */
async function createSchema(tx: ISql, schema: string): Promise<void> {
  const [found] = await tx<[{ exists: boolean }]>`select to_regnamespace(${ident(schema)}) is not null as exists`
  if (!found.exists) await tx.unsafe(`CREATE SCHEMA ${ident(schema)}`)
}

/** Only what adds. Everything else stays a problem, and the inspection after this refuses it with its SQL. */
async function mend(tx: TransactionSql, options: InspectOptions, log: (line: string) => void): Promise<void> {
  const { problems } = await inspectAuth(tx, options)
  if (problems.some(({ additive }) => !additive)) return
  for (const { mend } of problems as readonly Finding[]) {
    for (const statement of mend) {
      log(statement)
      await tx.unsafe(statement)
    }
  }
}
