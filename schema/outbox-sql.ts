/**
 * The outbox and the epoch: where the triggers of `revocation-sql.ts` write, and how a gateway reads them.
 * The epoch counts what no list of rows can tell (TRUNCATE, triggers installed anew): a new value drops every copy.
 */
import type { AuthShape } from '../src/data/auth-shape.js'
import { ident } from '../src/data/sql-text.js'

/** A poll answers one event more when there are more than that: dropping the whole cache is less work for everybody. */
export const POLL_LIMIT = 10_000

export interface OutboxSql {
  /**
   * $1 a cursor ('0': everything), or null for no events. At least one row; in each `database`, `epoch`, `next_cursor`
   * and `now` (ms), and `id`, `kind` ('s' session, 'u' user), `key` (sha256 of the token, or user id), `cause`
   * and `at` (ms) of an event or nulls. A row may come twice, none is ever skipped: a transaction that commits late has an
   * id at or above the cursor, which a sequence number or a time would have passed.
   */
  readonly poll: string
  /** $1 a cursor: deletes up to a thousand rows that are old and of transactions before it. */
  readonly collect: string
}

export function outboxSql(shape: AuthShape): OutboxSql {
  const outbox = outboxTable(shape)
  // The server's start tells a promoted replica and a restored backup from what was there before; names do not.
  const database = `select d.oid || '.' || extract(epoch from pg_postmaster_start_time())
    from pg_database d where d.datname = current_database()`
  return {
    poll: `select (${database}) as database,
  (select e.n::text from ${epochTable(shape)} e) as epoch,
  pg_snapshot_xmin(pg_current_snapshot())::text as next_cursor,
  ${ms('clock_timestamp()')} as now,
  o.id::text as id, o.kind::text as kind, o.key, o.cause, ${ms('o.at')} as at
from (select 1) as one left join ${outbox} o on o.xid >= $1::text::xid8
limit ${POLL_LIMIT + 1}`,
    collect: `delete from ${outbox} where id in (
  select o.id from ${outbox} o
   where o.xid < $1::text::xid8 and o.at < now() - interval '1 hour' order by o.xid limit 1000)`
  }
}

function ms(time: string): string {
  return `(extract(epoch from ${time}) * 1000)::float8`
}

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
INSERT INTO ${epoch} DEFAULT VALUES ON CONFLICT DO NOTHING;`
}

export function outboxTable({ schema }: AuthShape): string {
  return `${ident(schema)}."gateway_outbox"`
}

export function epochTable({ schema }: AuthShape): string {
  return `${ident(schema)}."gateway_epoch"`
}
