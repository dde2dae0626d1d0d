/** `doctor`: the database itself. Can it be reached, is it the one, does it agree about the time, is there room? */
import type { Sql } from 'postgres'
import type { Env } from '../config/env.js'
import { readServer } from '../data/auth-catalog.js'
import { serverFindings } from '../data/auth-findings.js'
import { createDirectClient, createLookupPool, POOL_SIZES } from '../data/postgres.js'
import { type Diagnosis, fail, ok, warn, within, wordsOf } from './diagnosis.js'
import { examineListener } from './doctor-listener.js'
import { examineGrants } from './doctor-grants.js'
import { examineTables } from './doctor-tables.js'
import type { LocalParts } from './local-parts.js'

export interface DatabaseParts extends Pick<LocalParts, 'databaseUrl' | 'databaseDirectUrl'> {
  readonly env: Env
  /** Null: try-it mode. */
  readonly audiences: readonly string[]
}

const DEADLINE_MS = 5_000
const SLOW_MS = 20
const SKEW_WARN_MS = 1_000
const SKEW_FAIL_MS = 60_000
/** Of a gateway, beside its pool for look-ups: docs/operations.md, rolling deploys. */
const OTHER_CONNECTIONS = Object.values(POOL_SIZES).reduce<number>((sum, size) => sum + size, 0)

export async function examinePostgres(parts: DatabaseParts): Promise<Diagnosis[]> {
  const { databaseUrl, databaseDirectUrl, env } = parts
  const sql = createLookupPool(databaseUrl, 2)
  const direct = createDirectClient(databaseDirectUrl)
  try {
    const away = await unreachable(sql, 'DATABASE_URL')
    if (away !== null) return [away]
    const awayDirect = databaseDirectUrl === databaseUrl ? null : await unreachable(direct, 'DATABASE_DIRECT_URL')
    const { shape, diagnoses } = await within(DEADLINE_MS, examineTables(sql, env, parts.audiences))
    return [
      ...(await within(DEADLINE_MS, examineServer(sql))),
      await within(DEADLINE_MS, examineClock(sql)),
      ...(awayDirect === null ? [] : [awayDirect]),
      ...diagnoses,
      ...(shape === null || env.databaseUrl === null
        ? []
        : await within(DEADLINE_MS, examineGrants(sql, shape, env.authMode))),
      await within(DEADLINE_MS, examineRoom(sql, env)),
      ...(awayDirect === null ? [await examineListener(sql, databaseDirectUrl)] : [])
    ]
  } catch (error) {
    return [fail('postgres', `stopped answering: ${wordsOf(error)}.`)]
  } finally {
    await Promise.all([sql.end({ timeout: 0 }), direct.end({ timeout: 0 })])
  }
}

async function unreachable(sql: Sql, name: string): Promise<Diagnosis | null> {
  try {
    await within(DEADLINE_MS, sql`select 1`)
    return null
  } catch (error) {
    return fail('postgres', `${name} leads nowhere: ${wordsOf(error)}.`)
  }
}

async function examineServer(sql: Sql): Promise<Diagnosis[]> {
  const server = await readServer(sql)
  const problems = serverFindings(server).map(({ message, mend }) => fail('postgres', message, ...mend))
  if (problems.length > 0) return problems
  let ms = Number.POSITIVE_INFINITY
  for (let i = 0; i < 3; i++) {
    const begun = performance.now()
    await sql`select 1`
    ms = Math.min(ms, performance.now() - begun)
  }
  const message = `PostgreSQL ${server.versionText}, primary, answers in ${ms.toFixed(1)} ms`
  return [
    ms > SLOW_MS
      ? warn('postgres', `${message}: every look-up the cache cannot answer takes as long.`)
      : ok('postgres', message)
  ]
}

/** Better Auth writes by this machine's clock, and the gateway checks by the database's. */
async function examineClock(sql: Sql): Promise<Diagnosis> {
  let best = { trip: Number.POSITIVE_INFINITY, skew: 0 }
  for (let i = 0; i < 3; i++) {
    const begun = Date.now()
    const [row] = await sql<[{ now: number }]>`select (extract(epoch from clock_timestamp()) * 1000)::float8 as now`
    const ended = Date.now()
    if (ended - begun < best.trip) best = { trip: ended - begun, skew: row.now - (begun + ended) / 2 }
  }
  const off = Math.max(0, Math.abs(best.skew) - best.trip / 2)
  const message = `the database is ${(off / 1000).toFixed(1)} s ${best.skew > 0 ? 'ahead of' : 'behind'} this machine`
  if (off < SKEW_WARN_MS) return ok('clock', 'this machine and the database agree to a second')
  return (off < SKEW_FAIL_MS ? warn : fail)('clock', `${message}.`, 'timedatectl set-ntp true   # on both')
}

/** A node more than there are: a rolling deploy starts the new one before it stops the old one. */
async function examineRoom(sql: Sql, { databasePoolMax, workers }: Env): Promise<Diagnosis> {
  const [row] = await sql<[{ most: number; others: number }]>`
    select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most,
           (count(*) filter (where application_name not like 'session-gateway%'))::int as others
      from pg_stat_activity where backend_type = 'client backend'`
  const needed = (workers + 1) * (databasePoolMax + OTHER_CONNECTIONS)
  const message = `PostgreSQL allows ${row.most}: other programs have ${row.others} open, and the gateway here may need ${needed}, counting the process that a deploy adds`
  if (row.others + needed <= row.most) return ok('connections', message)
  const setting = Math.ceil((row.others + needed) / 50) * 50
  return warn(
    'connections',
    `${message}.`,
    `ALTER SYSTEM SET max_connections = ${setting};   -- then restart PostgreSQL`
  )
}
