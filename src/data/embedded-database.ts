/** What is inside the embedded server: one role, and the one database it owns. */
import postgres from 'postgres'
import { SUPERUSER } from './postgres-cluster.js'

const ROLE = 'gateway'

export function databaseUrl(password: string, port: number): string {
  return urlOf(ROLE, password, port, ROLE)
}

function urlOf(role: string, password: string, port: number, database: string): string {
  return `postgres://${role}:${password}@127.0.0.1:${port}/${database}`
}

/**
 * Safe to repeat. A role of its own, so that what goes wrong in the gateway does not go wrong with a superuser's
 * rights.
 */
export async function createDatabase(password: string, port: number): Promise<void> {
  const url = urlOf(SUPERUSER, password, port, 'postgres')
  const sql = postgres(url, { max: 1, onnotice: () => {}, fetch_types: false })
  try {
    const roles = await sql`select 1 from pg_roles where rolname = ${ROLE}`
    if (roles.length === 0) await sql.unsafe(`create role ${ROLE} login password '${password}'`)
    const databases = await sql`select 1 from pg_database where datname = ${ROLE}`
    if (databases.length === 0) await sql.unsafe(`create database ${ROLE} owner ${ROLE}`)
  } finally {
    await sql.end()
  }
}
