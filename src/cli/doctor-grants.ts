/**
 * `doctor`: what the gateway's role may do. Too little, and something fails; too much, and a hole becomes a bigger one
 * (R75).
 */
import type { Sql } from 'postgres'
import { missingGrants } from '../../schema/grants-sql.js'
import { outboxTable } from '../../schema/outbox-tables.js'
import type { AuthShape } from '../data/auth-shape.js'
import type { AuthMode } from '../data/finding.js'
import { ident } from '../data/sql-text.js'
import { type Diagnosis, fail, ok, warn } from './diagnosis.js'
import { MIGRATE } from './doctor-tables.js'

interface Role {
  readonly name: string
  readonly superuser: boolean
  /** Of CREATEROLE, CREATEDB, REPLICATION and BYPASSRLS those it has. */
  readonly attributes: readonly string[]
  readonly owns: boolean
}

/** A table the role has more than SELECT on. */
interface Held {
  readonly schema: string
  readonly table: string
  readonly auth: boolean
  readonly writes: boolean
  readonly more: boolean
}

/** Of the tables that are none of the gateway's business, so many are named. */
const SHOWN = 5

export async function examineGrants(sql: Sql, shape: AuthShape, mode: AuthMode): Promise<Diagnosis[]> {
  const role = await readRole(sql, shape)
  const missing = await tooLittle(sql, shape, mode)
  const tooMuch = role.superuser || role.owns ? [ownRole(role)] : await beyond(sql, shape, mode, role)
  const found = [...missing, ...tooMuch, ...attributesOf(role)]
  return found.length > 0 ? found : [ok('grants', `the role "${role.name}" may do what it needs, and no more`)]
}

/** Of the gateway's own tables; what it needs of Better Auth's, `tables` has said. */
async function tooLittle(sql: Sql, shape: AuthShape, mode: AuthMode): Promise<Diagnosis[]> {
  const [{ there }] = await sql<[{ there: boolean }]>`select to_regclass(${outboxTable(shape)}) is not null as there`
  const grants = there ? await missingGrants(sql, shape, mode) : []
  return grants.length === 0 ? [] : [fail('grants', "the role may not use the gateway's own tables.", ...grants)]
}

async function readRole(sql: Sql, shape: AuthShape): Promise<Role> {
  const session = `${ident(shape.schema)}.${ident(shape.tables.session.name)}`
  const [role] = await sql<[Omit<Role, 'attributes'> & { attributes: string | null }]>`
    select r.rolname::text as name, r.rolsuper as superuser,
           concat_ws(' ', case when r.rolcreaterole then 'CREATEROLE' end, case when r.rolcreatedb then 'CREATEDB' end,
             case when r.rolreplication then 'REPLICATION' end, case when r.rolbypassrls then 'BYPASSRLS' end) as attributes,
           (select pg_has_role(c.relowner, 'USAGE') from pg_class c where c.oid = to_regclass(${session})) as owns
      from pg_roles r where r.rolname = current_user`
  return { ...role, attributes: role.attributes?.split(' ').filter(word => word !== '') ?? [] }
}

/** Whoever serves requests need not be able to drop the triggers that end sessions. */
function ownRole({ name, superuser }: Role): Diagnosis {
  const is = superuser ? 'is a superuser' : 'owns the tables, and with them the triggers'
  return warn(
    'grants',
    `the role "${name}" ${is}. Serve as one that may only read and write rows; keep this one for migrations.`,
    `CREATE ROLE gateway_app LOGIN PASSWORD '...';`,
    `${MIGRATE} --grants gateway_app   # prints what it needs`
  )
}

async function beyond(sql: Sql, shape: AuthShape, mode: AuthMode, { name }: Role): Promise<Diagnosis[]> {
  const own = Object.values(shape.tables).map(table => table.name)
  const tables = await sql<Held[]>`
    select n.nspname as schema, c.relname as table,
           has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE') as writes,
           has_table_privilege(c.oid, 'TRUNCATE, TRIGGER, REFERENCES') as more,
           n.nspname = ${shape.schema} and ${JSON.stringify(own)}::text::jsonb ? c.relname::text as auth
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema')
       and n.nspname !~ '^pg_(toast|temp)' and has_schema_privilege(n.oid, 'USAGE')
       and not starts_with(c.relname, 'gateway_')
       and has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES')
     order by 1, 2`
  const revoke = (rights: string, of: readonly Held[]) =>
    of
      .slice(0, SHOWN)
      .map(({ schema, table }) => `REVOKE ${rights} ON ${ident(schema)}.${ident(table)} FROM ${ident(name)};`)
  const others = tables.filter(({ auth }) => !auth)
  const shapes = tables.filter(({ auth, more }) => auth && more)
  const written = mode === 'attached' ? tables.filter(({ auth, writes }) => auth && writes) : []
  const namesOf = (of: readonly Held[]) =>
    of
      .slice(0, SHOWN)
      .map(({ schema, table }) => `${schema}.${table}`)
      .join(', ')
  const found: Diagnosis[] = []
  if (others.length > 0) {
    const message = `the role "${name}" may change ${others.length} tables that are none of the gateway's business: ${namesOf(others)}.`
    found.push(warn('grants', message, ...revoke('ALL', others)))
  }
  if (shapes.length > 0) {
    const message = `the role "${name}" may do more than read and write rows of ${namesOf(shapes)}.`
    found.push(warn('grants', message, ...revoke('TRUNCATE, TRIGGER, REFERENCES', shapes)))
  }
  if (written.length > 0) {
    const message = `the role "${name}" may write ${namesOf(written)}; with AUTH_MODE=attached it needs to read only.`
    found.push(warn('grants', message, ...revoke('INSERT, UPDATE, DELETE', written)))
  }
  return found
}

function attributesOf({ name, superuser, attributes }: Role): Diagnosis[] {
  if (superuser || attributes.length === 0) return []
  const mend = `ALTER ROLE ${ident(name)} ${attributes.map(word => `NO${word}`).join(' ')};`
  return [warn('grants', `the role "${name}" has ${attributes.join(', ')}, which the gateway never needs.`, mend)]
}
