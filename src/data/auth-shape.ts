/**
 * Recognises a Better Auth database: which tables hold users, sessions, members …, under which names and types.
 * Tables are told by their columns and foreign keys, never by their names alone; `expires_at`, `"expiresAt"` and
 * `expiresat` are the same column. Everything that speaks SQL to these tables (the session query, the triggers,
 * Better Auth's own tables) is built from the shape found here, for the database we created as for any other.
 */
import { ConfigError } from '../errors.js'
import type { CatalogColumn, CatalogTable } from './auth-catalog.js'
import { AUTH_MODEL_NAMES, type AuthModelName, authModel } from './auth-models.js'

export interface AuthTable {
  readonly name: string
  /** By Better Auth's field name; a field that is not there is a column the table lacks. */
  readonly columns: Readonly<Record<string, CatalogColumn>>
}

export interface AuthShape {
  readonly schema: string
  /** What the primary keys are, and so what Better Auth must generate. */
  readonly idKind: 'text' | 'uuid' | 'serial'
  readonly tables: Readonly<Partial<Record<AuthModelName, AuthTable>>> & {
    readonly user: AuthTable
    readonly session: AuthTable
  }
}

/** The tables of one Better Auth, as the catalogue has them. */
export type Recognised = Partial<Record<AuthModelName, CatalogTable>> & {
  readonly user: CatalogTable
  readonly session: CatalogTable
}

export function shapeOf(found: Recognised): AuthShape {
  const { user, session } = found
  return {
    schema: session.schema,
    idKind: idKindOf(user),
    tables: { ...authTablesOf(found), user: authTableOf('user', user), session: authTableOf('session', session) }
  }
}

/** Null where there is no session table of Better Auth. Throws ConfigError where two tables could be meant. */
export function recognise(tables: readonly CatalogTable[]): Recognised | null {
  const session = pick('session', tables)
  if (session === undefined) return null
  const beside = tables.filter(table => table.schema === session.schema)
  const user = referencedBy(session, 'userId', beside) ?? pick('user', beside)
  if (user === undefined) return null
  const found: Recognised = { session, user }
  for (const name of AUTH_MODEL_NAMES) {
    if (found[name] !== undefined) continue
    const table = pick(
      name,
      beside.filter(table => belongsTo(user, name, table))
    )
    if (table !== undefined) Object.assign(found, { [name]: table })
  }
  return found
}

/** The same column in every spelling a generator or an ORM gives it. */
function spellingOf(name: string): string {
  return name.replaceAll('_', '').toLowerCase()
}

/** Throws ConfigError when more than one table is left. */
function pick(name: AuthModelName, tables: readonly CatalogTable[]): CatalogTable | undefined {
  const marked = tables.filter(table => authModel(name).markedBy.every(field => columnFor(table, field) !== undefined))
  const complete = marked.filter(table => missingFields(name, table).length === 0)
  // One of ours that lacks a column is still ours, but only its name can tell it from a stranger with a token.
  const named = marked.filter(table => spellingOf(table.name).includes(name.toLowerCase()))
  const candidates = complete.length > 0 ? complete : named
  const linked = candidates.filter(table => isLinked(name, table))
  const [only, another] = linked.length > 0 ? linked : candidates
  if (another === undefined) return only
  const names = candidates.map(table => `${table.schema}.${table.name}`).join(', ')
  throw new ConfigError([
    {
      place: 'env DATABASE_SCHEMA',
      message: `several tables look like Better Auth's "${name}": ${names}. Set DATABASE_SCHEMA to the schema that is in use.`
    }
  ])
}

/** A copy made by hand (CREATE TABLE … AS) has the columns but neither keys nor references. */
function isLinked(name: AuthModelName, table: CatalogTable): boolean {
  return Object.entries(authModel(name).fields).every(([field, { references, unique }]) => {
    const column = columnFor(table, field)?.name
    if (references !== undefined) return table.foreignKeys.some(key => key.columns.join() === column)
    return unique === undefined || table.indexes.some(index => index.unique && index.columns.join() === column)
  })
}

function missingFields(name: AuthModelName, table: CatalogTable): string[] {
  const { fields } = authModel(name)
  return Object.keys(fields).filter(
    field => fields[field]?.plugin === undefined && columnFor(table, field) === undefined
  )
}

function referencedBy(table: CatalogTable, field: string, tables: readonly CatalogTable[]): CatalogTable | undefined {
  const column = columnFor(table, field)?.name
  const key = table.foreignKeys.find(each => each.columns.join() === column)
  return key && tables.find(each => each.oid === key.target)
}

/** An account or member of another application's users is not ours. */
function belongsTo(user: CatalogTable, name: AuthModelName, table: CatalogTable): boolean {
  const field = Object.entries(authModel(name).fields).find(([, { references }]) => references === 'user')?.[0]
  const column = field && columnFor(table, field)?.name
  const key = table.foreignKeys.find(each => each.columns.join() === column)
  return key === undefined || key.target === user.oid
}

/** Throws ConfigError where a field could be either of two columns. */
export function columnFor(table: CatalogTable, field: string): CatalogColumn | undefined {
  const columns = table.columns.filter(column => spellingOf(column.name) === field.toLowerCase())
  const [only, another] = columns
  if (another === undefined) return only
  const names = columns.map(column => `"${column.name}"`).join(' and ')
  const message = `has ${names}, and which of them Better Auth uses cannot be told. Drop the one that is not in use.`
  throw new ConfigError([{ place: `table ${table.schema}.${table.name}`, message }])
}

function idKindOf(user: CatalogTable): AuthShape['idKind'] {
  const id = columnFor(user, 'id')
  if (id?.type === 'uuid') return 'uuid'
  return id?.category === 'N' ? 'serial' : 'text'
}

function authTablesOf(found: Recognised): Partial<Record<AuthModelName, AuthTable>> {
  const entries = AUTH_MODEL_NAMES.flatMap(name => {
    const table = found[name]
    return table === undefined ? [] : [[name, authTableOf(name, table)] as const]
  })
  return Object.fromEntries(entries)
}

function authTableOf(name: AuthModelName, table: CatalogTable): AuthTable {
  const columns: Record<string, CatalogColumn> = {}
  for (const field of ['id', ...Object.keys(authModel(name).fields)]) {
    const column = columnFor(table, field)
    if (column !== undefined) columns[field] = column
  }
  return { name: table.name, columns }
}
