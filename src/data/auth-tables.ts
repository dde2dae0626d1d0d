/**
 * The inspected tables as drizzle objects, for Better Auth's adapter: keys are its model and field names, columns are
 * what the database has. Only columns Better Auth writes are in them; others stay untouched.
 */
import { getTableColumns, relations } from 'drizzle-orm'
import {
  type AnyPgColumn,
  boolean,
  integer,
  type PgColumnBuilderBase,
  pgSchema,
  pgTable,
  text,
  timestamp,
  uuid
} from 'drizzle-orm/pg-core'
import type { CatalogColumn } from './auth-catalog.js'
import { AUTH_MODEL_NAMES, type AuthModelName, authModel } from './auth-models.js'
import type { AuthShape, AuthTable } from './auth-shape.js'

type Table = ReturnType<typeof tableOf>

export interface AuthTables {
  /** By model: exactly the models the database has tables for. */
  readonly tables: Readonly<Record<string, Table>>
  /** For `drizzle(…, { schema: { ...tables, ...relations } })`; Better Auth's joins need them. */
  readonly relations: Readonly<Record<string, unknown>>
}

export function authTables(shape: AuthShape): AuthTables {
  const tables: Record<string, Table> = {}
  for (const model of AUTH_MODEL_NAMES) {
    const table = shape.tables[model]
    if (table !== undefined) tables[model] = tableOf(shape, model, table)
  }
  return { tables, relations: relationsOf(tables) }
}

function tableOf({ schema }: AuthShape, model: AuthModelName, table: AuthTable) {
  const columns: Record<string, PgColumnBuilderBase> = {}
  for (const [field, column] of Object.entries(table.columns)) {
    columns[field] = columnOf(column, field === 'id' || authModel(model).fields[field]?.notNull === true)
  }
  // drizzle's pgSchema refuses 'public' by name.
  return schema === 'public' ? pgTable(table.name, columns) : pgSchema(schema).table(table.name, columns)
}

function columnOf({ name, type, category }: CatalogColumn, notNull: boolean): PgColumnBuilderBase {
  const column = builderOf(name, type, category)
  return notNull ? column.notNull() : column
}

function builderOf(name: string, type: string, category: string) {
  if (category === 'B') return boolean(name)
  if (category === 'D') return timestamp(name, { withTimezone: type === 'timestamp with time zone' })
  if (category === 'N') return integer(name)
  return type === 'uuid' ? uuid(name) : text(name)
}

interface Link {
  readonly model: string
  readonly table: Table
  readonly field: string
  readonly target: string
  readonly targetTable: Table
}

/** One to many under the plural, as Better Auth's generator names it; the other way under the model's own name. */
function relationsOf(tables: Readonly<Record<string, Table>>): Record<string, unknown> {
  const links = linksOf(tables)
  const found: Record<string, unknown> = {}
  for (const [model, table] of Object.entries(tables)) {
    found[`${model}Relations`] = relations(table, ({ one, many }) => {
      const out = links.filter(link => link.model === model)
      const back = links.filter(link => link.target === model)
      return Object.fromEntries([
        ...out.map(link => [link.target, one(link.targetTable, keysOf(link))]),
        ...back.map(link => [`${link.model}s`, many(link.table)])
      ])
    })
  }
  return found
}

function linksOf(tables: Readonly<Record<string, Table>>): Link[] {
  return AUTH_MODEL_NAMES.flatMap(model =>
    Object.entries(authModel(model).fields).flatMap(([field, { references: target }]) => {
      const [table, targetTable] = [tables[model], target && tables[target]]
      return table && target && targetTable ? [{ model, table, field, target, targetTable }] : []
    })
  )
}

function keysOf({ table, field, targetTable }: Link): { fields: [AnyPgColumn]; references: [AnyPgColumn] } {
  const columns: Readonly<Record<string, AnyPgColumn>> = getTableColumns(table)
  const targets: Readonly<Record<string, AnyPgColumn>> = getTableColumns(targetTable)
  return { fields: [columns[field] as AnyPgColumn], references: [targets['id'] as AnyPgColumn] }
}
