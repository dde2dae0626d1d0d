/**
 * One trigger of the gateway, and one function that triggers run. Conditions are in the functions, not in a WHEN: what
 * a function holds can be told by its text, on every reading of the outbox, and a WHEN only by PostgreSQL's own
 * notation of it, which changes with its version and with every restore.
 */
import type { AuthShape, AuthTable } from '../src/data/auth-shape.js'
import { ident } from '../src/data/sql-text.js'

export interface Trigger {
  readonly table: string
  readonly name: string
  readonly runs: string
  /** As in pg_trigger.tgtype. */
  readonly type: number
  readonly sql: string
}

export interface TriggerFunction {
  readonly name: string
  /** As in pg_proc.prosrc. */
  readonly source: string
  readonly sql: string
}

export type Change = 'INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE'

/** As in pg_proc.proconfig. */
export const FUNCTION_SETTINGS = 'search_path=pg_catalog, pg_temp'

const ROW_BIT = 1
const BITS: Readonly<Record<Change, number>> = { INSERT: 4, DELETE: 8, UPDATE: 16, TRUNCATE: 32 }

/** After each of `changes`, for every row. ALWAYS: also for changes that arrive by logical replication. */
export function rowTrigger(
  shape: AuthShape,
  table: AuthTable,
  name: string,
  changes: readonly Change[],
  runs: string
): Trigger {
  return trigger(shape, table, name, runs, changes, ROW_BIT, 'FOR EACH ROW')
}

/** After `change`, once; `gone`: the function reads the rows that were deleted from a table of that name. */
export function statementTrigger(
  shape: AuthShape,
  table: AuthTable,
  name: string,
  change: Change,
  runs: string
): Trigger {
  const rows = change === 'DELETE' ? 'REFERENCING OLD TABLE AS gone ' : ''
  return trigger(shape, table, name, runs, [change], 0, `${rows}FOR EACH STATEMENT`)
}

/**
 * With the rights of their owner: another application's role that may delete a session needs no right on the outbox.
 * The search path is fixed, or that role could put a function of its own in front of ours.
 */
export function triggerFunction({ schema }: AuthShape, name: string, body: string): TriggerFunction {
  const qualified = `${ident(schema)}.${ident(name)}`
  const source = `
BEGIN
  ${body}
  RETURN NULL;
END `
  const sql = `CREATE OR REPLACE FUNCTION ${qualified}() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET ${FUNCTION_SETTINGS} AS $gateway$${source}$gateway$;
REVOKE ALL ON FUNCTION ${qualified}() FROM PUBLIC;`
  return { name, source, sql }
}

function trigger(
  { schema }: AuthShape,
  table: AuthTable,
  name: string,
  runs: string,
  changes: readonly Change[],
  level: number,
  each: string
): Trigger {
  const on = `${ident(schema)}.${ident(table.name)}`
  const sql = `CREATE OR REPLACE TRIGGER ${name} AFTER ${changes.join(' OR ')} ON ${on} ${each}
  EXECUTE FUNCTION ${ident(schema)}.${ident(runs)}();
ALTER TABLE ${on} ENABLE ALWAYS TRIGGER ${name};`
  const type = changes.reduce((bits, change) => bits | BITS[change], level)
  return { table: table.name, name, runs, type, sql }
}
