/**
 * What PostgreSQL's catalogue says about tables that could be Better Auth's: columns, indexes, foreign keys and
 * our own rights on them. Readable for every role, whatever it may do with the tables themselves.
 */
import type { ISql } from 'postgres'

export interface CatalogColumn {
  readonly name: string
  /** Of a domain, the type below it: `timestamp with time zone`, `text`, `inet`. */
  readonly type: string
  /** pg_type.typcategory: S string, N number, B boolean, D time, E enum, I network. */
  readonly category: string
  readonly notNull: boolean
  readonly hasDefault: boolean
}

export interface CatalogIndex {
  /** Null in place of an expression. */
  readonly columns: readonly (string | null)[]
  readonly unique: boolean
  /** Covers every row: no WHERE, and valid. */
  readonly full: boolean
}

export interface CatalogForeignKey {
  readonly columns: readonly string[]
  /** Object id of the table it points at. */
  readonly target: string
  readonly name: string
  readonly onDelete: 'cascade' | 'other'
}

export interface CatalogTable {
  readonly oid: string
  readonly schema: string
  readonly name: string
  readonly columns: readonly CatalogColumn[]
  readonly indexes: readonly CatalogIndex[]
  readonly foreignKeys: readonly CatalogForeignKey[]
  readonly mayRead: boolean
  readonly mayWrite: boolean
}

export interface CatalogServer {
  readonly version: number
  readonly versionText: string
  readonly inRecovery: boolean
  readonly role: string
  /** Tables that belong to neither the system nor an extension. */
  readonly tables: number
}

export async function readServer(sql: ISql): Promise<CatalogServer> {
  const [server] = await sql<[CatalogServer]>`
    select current_setting('server_version_num')::int as version, current_setting('server_version') as "versionText",
           pg_is_in_recovery() as "inRecovery", current_user::text as role,
           (select count(*)::int from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema')
               and n.nspname !~ '^pg_(toast|temp)'
               and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')) as tables`
  return server
}

/**
 * Only tables with a column name that Better Auth's tables are told by, so that a large database stays a short answer.
 */
export async function readTables(sql: ISql, schema: string | null): Promise<readonly CatalogTable[]> {
  const rows = await sql<{ table: CatalogTable }[]>`
    with candidate as (
      select c.oid, n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind in ('r', 'p') and not c.relispartition
         and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)'
         and (${schema}::text is null or n.nspname = ${schema}::text)
         and exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
           and lower(replace(a.attname, '_', '')) in
             ('token', 'emailverified', 'providerid', 'identifier', 'privatekey', 'slug', 'organizationid', 'backupcodes')))
    select json_build_object('oid', c.oid::text, 'schema', c.nspname, 'name', c.relname,
      'columns', (select coalesce(json_agg(json_build_object(
          'name', a.attname, 'type', format_type(case when t.typtype = 'd' then t.typbasetype else t.oid end, null),
          'category', t.typcategory, 'notNull', a.attnotnull,
          'hasDefault', a.atthasdef or a.attidentity <> '') order by a.attnum), '[]')
        from pg_attribute a join pg_type t on t.oid = a.atttypid
       where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
      'indexes', (select coalesce(json_agg(json_build_object(
          'unique', i.indisunique, 'full', i.indisvalid and i.indpred is null,
          'columns', (select json_agg(a.attname order by k.nth)
             from unnest(i.indkey::int2[]) with ordinality as k (attnum, nth)
             left join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum and k.attnum > 0
            where k.nth <= i.indnkeyatts))), '[]')
        from pg_index i where i.indrelid = c.oid),
      'foreignKeys', (select coalesce(json_agg(json_build_object(
          'name', f.conname, 'target', f.confrelid::text,
          'onDelete', case f.confdeltype when 'c' then 'cascade' else 'other' end,
          'columns', (select json_agg(a.attname) from unnest(f.conkey) as k (attnum)
             join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum))), '[]')
        from pg_constraint f where f.conrelid = c.oid and f.contype = 'f'),
      'mayRead', has_table_privilege(c.oid, 'SELECT') and has_schema_privilege(c.nspname, 'USAGE'),
      'mayWrite', has_table_privilege(c.oid, 'INSERT') and has_table_privilege(c.oid, 'UPDATE')
        and has_table_privilege(c.oid, 'DELETE')) as table
    from candidate c order by c.nspname, c.relname`
  return rows.map(row => row.table)
}
