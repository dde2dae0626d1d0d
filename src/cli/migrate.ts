/** `session-gateway migrate`: brings the database to what the gateway needs, and says everything it does. */
import { parseArgs } from 'node:util'
import type { Sql } from 'postgres'
import { AUTH_SCHEMA } from '../../schema/auth.js'
import { grantsSql } from '../../schema/grants-sql.js'
import { inspectAuth, type InspectOptions, inspectAuthShape } from '../data/inspect-auth.js'
import { migrate } from '../data/migrate.js'
import { createDirectClient, waitForPostgres } from '../data/postgres.js'
import { ConfigError } from '../errors.js'
import { databaseEnv } from './database-env.js'
import { openLocal } from './local-parts.js'

export const help = `Usage: session-gateway migrate [--grants ROLE]

Prepares the database of DATABASE_DIRECT_URL or DATABASE_URL (without either: the embedded one) and exits. An empty
database gets all tables in the schema DATABASE_SCHEMA (default auth). An existing Better Auth database gets what is
missing, and only what adds: columns, indexes, tables; each statement is printed before it runs. Both get the
triggers of revocation. All of it is one transaction, and can be run again.

Run it as the owner of the tables. --grants ROLE changes nothing and prints the least that another role needs to
serve on them.
Exit code: 1 failed, 78 the role is not the owner, or the database has problems only its owner can decide about; the
SQL is printed.`

const INSUFFICIENT_PRIVILEGE = '42501'

export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { grants: { type: 'string' } } })
  const env = databaseEnv()
  const url = env.databaseDirectUrl ?? env.databaseUrl
  if (url === null) {
    const local = await openLocal(env, line => console.log(line))
    await local.close()
    return 0
  }
  const sql = createDirectClient(url)
  try {
    await waitForPostgres(sql, waitMs => console.error(`PostgreSQL does not answer, trying again in ${waitMs} ms`))
    const options = { schema: env.databaseSchema, mode: env.authMode }
    if (values.grants !== undefined) {
      console.log(grantsSql(await inspectAuthShape(sql, options), env.authMode, values.grants))
      return 0
    }
    const place = `env ${url === env.databaseUrl ? 'DATABASE_URL' : 'DATABASE_DIRECT_URL'}`
    const { schema } = await migrate(sql, options, line => console.log(line)).catch(async error => {
      throw (await notTheOwner(sql, options, place, error)) ?? error
    })
    const { warnings } = await inspectAuth(sql, { ...options, schema })
    for (const { place, message, mend } of warnings) console.log(`${place}: ${message}\n  ${mend.join('\n  ')}`)
    console.log(`Schema "${schema}" is up to date.`)
    return 0
  } finally {
    await sql.end()
  }
}

/** What to do instead, where PostgreSQL only says that this may not be done; null: something else has failed. */
async function notTheOwner(
  sql: Sql,
  options: InspectOptions,
  place: string,
  { code, message: words }: { readonly code?: string; readonly message: string }
): Promise<ConfigError | null> {
  if (code !== INSUFFICIENT_PRIVILEGE) return null
  const inspection = await inspectAuth(sql, options)
  const shape = inspection.kind === 'found' ? inspection.shape : null
  const schema = shape?.schema ?? options.schema ?? AUTH_SCHEMA
  const [{ role, owner }] = await sql<[{ role: string; owner: string }]>`
    select current_user::text as role, coalesce(
      (select pg_get_userbyid(c.relowner) from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = ${schema} and c.relname = ${shape?.tables.session.name ?? ''}),
      (select pg_get_userbyid(nspowner) from pg_namespace where nspname = ${schema}),
      (select pg_get_userbyid(datdba) from pg_database where datname = current_database()))::text as owner`
  if (role === owner) return null
  const message = `the role "${role}" may not change the tables (${words}). Run it as the owner of the tables, "${owner}".`
  return new ConfigError([{ place, message }])
}
