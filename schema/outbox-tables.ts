/**
 * The outbox and the epoch, where the triggers of `revocation-sql.ts` write.
 * The epoch counts what no list of rows can tell (TRUNCATE, triggers installed anew): a new value drops every copy.
 * Beside them the register of running gateways: whoever answers from memory says so here first.
 */
import type { AuthShape } from '../src/data/auth-shape.js'
import { ident, literal } from '../src/data/sql-text.js'

/** The first epoch is a time, so that a database made anew never repeats one a cache may remember. */
export function outboxTablesSql(shape: AuthShape): string {
  const outbox = outboxTable(shape)
  const epoch = epochTable(shape)
  return `CREATE TABLE IF NOT EXISTS ${outbox} (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  kind "char" NOT NULL,
  key text NOT NULL
);
ALTER TABLE ${outbox} ADD COLUMN IF NOT EXISTS cause text;
CREATE INDEX IF NOT EXISTS gateway_outbox_xid_idx ON ${outbox} (xid);
CREATE TABLE IF NOT EXISTS ${epoch} (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  n bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
);
INSERT INTO ${epoch} DEFAULT VALUES ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS ${nodeTable(shape)} (
  id text PRIMARY KEY,
  lease_ms integer NOT NULL,
  lease_until timestamptz NOT NULL,
  grace_until timestamptz,
  turn bigint NOT NULL DEFAULT 0
);
${clearWaySql([outbox, epoch])}`
}

/** Nobody else's trigger, rule or row security may keep back what ours write (trigger-state-sql.ts). */
function clearWaySql(tables: readonly string[]): string {
  const oids = tables.map(table => `${literal(table)}::regclass`).join(', ')
  return `DO $clear$ DECLARE found record; BEGIN
  FOR found IN SELECT 'TRIGGER' AS kind, tgname AS name, tgrelid::regclass AS on_table
      FROM pg_trigger WHERE tgrelid IN (${oids}) AND NOT tgisinternal
    UNION ALL SELECT 'RULE', rulename, ev_class::regclass FROM pg_rewrite WHERE ev_class IN (${oids}) LOOP
    EXECUTE format('DROP %s %I ON %s', found.kind, found.name, found.on_table);
  END LOOP;
END $clear$;
${tables.map(table => `ALTER TABLE ${table} DISABLE ROW LEVEL SECURITY;`).join('\n')}`
}

export function outboxTable({ schema }: AuthShape): string {
  return `${ident(schema)}."gateway_outbox"`
}

export function epochTable({ schema }: AuthShape): string {
  return `${ident(schema)}."gateway_epoch"`
}

export function nodeTable({ schema }: AuthShape): string {
  return `${ident(schema)}."gateway_node"`
}
