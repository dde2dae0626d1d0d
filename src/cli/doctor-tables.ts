/** `doctor`: Better Auth's tables, the triggers of revocation, and who is registered there. */
import type { Sql } from 'postgres'
import { nodeTable } from '../../schema/outbox-tables.js'
import { revocationInstalled } from '../../schema/revocation-sql.js'
import { triggersOf } from '../../schema/triggers-sql.js'
import type { Env } from '../config/env.js'
import type { AuthShape } from '../data/auth-shape.js'
import { inspectAuth } from '../data/inspect-auth.js'
import { ident } from '../data/sql-text.js'
import { ConfigError } from '../errors.js'
import { type Diagnosis, fail, ok, warn } from './diagnosis.js'

export const MIGRATE = 'npx session-gateway migrate'

export interface TablesExamined {
  /** Null where there are no tables to work with. */
  readonly shape: AuthShape | null
  readonly diagnoses: readonly Diagnosis[]
}

export async function examineTables(
  sql: Sql,
  { databaseSchema, authMode, redisUrl }: Pick<Env, 'databaseSchema' | 'authMode' | 'redisUrl'>,
  audiences: readonly string[]
): Promise<TablesExamined> {
  let inspection: Awaited<ReturnType<typeof inspectAuth>>
  try {
    inspection = await inspectAuth(sql, { schema: databaseSchema, mode: authMode })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { shape: null, diagnoses: error.problems.map(({ place, message }) => fail('tables', `${place} ${message}`)) }
  }
  if (inspection.kind === 'absent') {
    const where = databaseSchema === null ? 'the database' : `the schema "${databaseSchema}"`
    return { shape: null, diagnoses: [fail('tables', `${where} has no tables of Better Auth.`, MIGRATE)] }
  }
  const { shape, problems, warnings } = inspection
  const found = [
    ...problems
      .filter(({ place }) => !place.startsWith('env '))
      .map(each => fail('tables', `${each.place} ${each.message}`, ...each.mend)),
    ...warnings.map(({ place, message, mend }) => warn('tables', `${place} ${message}`, ...mend))
  ]
  const names = Object.values(shape.tables).map(({ name }) => name)
  return {
    shape,
    diagnoses: [
      ...(found.length > 0 ? found : [ok('tables', `schema "${shape.schema}": ${names.join(', ')}`)]),
      ...(audiences.length > 0 && shape.tables.jwks === undefined ? [withoutKeys(audiences)] : []),
      ...(await examineTriggers(sql, shape)),
      ...(await examineNodes(sql, shape, redisUrl !== null))
    ]
  }
}

function withoutKeys(audiences: readonly string[]): Diagnosis {
  return fail(
    'tables',
    `no jwks table to keep signing keys in, and upstreams want assertions: ${audiences.join(', ')}.`,
    MIGRATE
  )
}

/** Without one of them a revocation could be missed, so the gateway keeps no copies and asks PostgreSQL every time. */
async function examineTriggers(sql: Sql, shape: AuthShape): Promise<Diagnosis[]> {
  const there = await sql<{ table: string; name: string; state: string }[]>`
    select c.relname as table, t.tgname as name, t.tgenabled::text as state
      from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = ${shape.schema} and not t.tgisinternal`
  const stateOf = (table: string, name: string) => there.find(each => each.table === table && each.name === name)?.state
  const expected = triggersOf(shape)
  const missing = expected.filter(({ table, name }) => stateOf(table, name) === undefined)
  const disabled = expected.filter(({ table, name }) => !['A', undefined].includes(stateOf(table, name)))
  const cost = 'until then nothing is cached and every request asks PostgreSQL.'
  if (missing.length > 0) {
    const names = missing.map(({ table, name }) => `${name} on ${table}`).join(', ')
    return [fail('triggers', `${missing.length} of ${expected.length} are missing (${names}): ${cost}`, MIGRATE)]
  }
  if (disabled.length > 0) {
    const mend = disabled.map(
      ({ table, name }) => `ALTER TABLE ${ident(shape.schema)}.${ident(table)} ENABLE ALWAYS TRIGGER ${name};`
    )
    return [fail('triggers', `${disabled.length} of ${expected.length} do not fire on every change: ${cost}`, ...mend)]
  }
  if (!(await revocationInstalled(sql, shape)))
    return [fail('triggers', `they are there and are not what this version installs: ${cost}`, MIGRATE)]
  return [ok('triggers', `${expected.length} there and firing`)]
}

async function examineNodes(sql: Sql, shape: AuthShape, hasRedis: boolean): Promise<Diagnosis[]> {
  const table = nodeTable(shape)
  const [{ mayRead }] = await sql<[{ mayRead: boolean | null }]>`
    select has_table_privilege(to_regclass(${table}), 'SELECT') as "mayRead"`
  if (mayRead !== true) return []
  const [row] = await sql.unsafe<[{ running: number; lapsed: number }]>(
    `select (count(*) filter (where greatest(lease_until, grace_until) > now()))::int as running,
            (count(*) filter (where greatest(lease_until, grace_until) < now() - interval '1 day'))::int as lapsed from ${table}`
  )
  const message = `${row.running} ${row.running === 1 ? 'gateway is' : 'gateways are'} registered`
  const found: Diagnosis[] = []
  if (row.running > 1 && !hasRedis) {
    const cost = 'each of them counts sign-in attempts for itself, and keeps sessions in its own memory alone'
    found.push(
      warn('nodes', `${message} and REDIS_URL is not set: ${cost}.`, 'REDIS_URL=redis://...   # the same for all')
    )
  }
  if (row.lapsed >= 1000) {
    const mend = `DELETE FROM ${table} WHERE greatest(lease_until, grace_until) < now() - interval '1 day';`
    found.push(warn('nodes', `${message}, and ${row.lapsed} that were killed have left a row.`, mend))
  }
  return found.length > 0 ? found : [ok('nodes', message)]
}
