/**
 * The outbox and the epoch: where the triggers of `revocation-sql.ts` write, and how a gateway reads them.
 * The epoch counts what no list of rows can tell (TRUNCATE, triggers installed anew): a new value drops every copy.
 */
import type { AuthShape } from '../src/data/auth-shape.js'
import { ident } from '../src/data/sql-text.js'

export interface OutboxSql {
  /**
   * One row at least: `kind` ('s' session, 'u' user, null for nothing new), `key` (sha256 of the token, or user id),
   * `next_cursor`, `epoch`. $1 is the cursor, '0' to read everything. A row may come twice, none is ever skipped:
   * a transaction that commits late has an id at or above the cursor, unlike a sequence number.
   */
  readonly poll: string
  /**
   * Deletes what every gateway has applied. $1 is a cursor this gateway polled with success a while ago (minutes):
   * rows below it were committed before that poll.
   */
  readonly collect: string
}

export function outboxSql(shape: AuthShape): OutboxSql {
  const outbox = outboxTable(shape)
  const epoch = epochTable(shape)
  return {
    poll: `select o.kind::text as kind, o.key, pg_snapshot_xmin(pg_current_snapshot())::text as next_cursor,
  (select n::text from ${epoch}) as epoch
from (select 1) as one left join ${outbox} o on o.xid >= $1::text::xid8`,
    collect: `delete from ${outbox} where xid < $1::text::xid8`
  }
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
CREATE INDEX IF NOT EXISTS "gateway_outbox_xid_idx" ON ${outbox} (xid);
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
