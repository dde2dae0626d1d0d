/**
 * The outbox and the epoch: where the triggers of `revocation-sql.ts` write, and how a gateway reads them.
 * The epoch counts what no list of rows can tell (TRUNCATE, triggers installed anew): a new value drops every copy.
 * Beside them the register of running gateways: whoever answers from memory says so here first.
 */
import type { AuthShape } from '../src/data/auth-shape.js'
import { ident } from '../src/data/sql-text.js'
import { triggerStateSql } from './triggers-sql.js'

/** A poll answers one event more when there are more than that: dropping the whole cache is less work for everybody. */
export const POLL_LIMIT = 10_000

export interface OutboxSql {
  /**
   * $1 a cursor ('0': everything), or null for no events; $2 the id of the gateway that asks. At least one row; in each
   * `database`, `epoch`, `next_cursor`, `now` (ms), `firing` (false: a trigger is missing, so events may be) and
   * `others` (registered gateways: id, leaseMs, grace), and `id`, `kind` ('s' session, 'u' user), `key` (sha256 of the
   * token, or user id), `cause` and `at` (ms) of an event or nulls. A row may come twice, none is ever skipped: a
   * transaction that commits late has an id at or above the cursor, which a sequence number or a time would have passed.
   */
  readonly poll: string
  /** $1 a cursor: deletes up to a thousand rows that are old and of transactions before it. */
  readonly collect: string
  /** `rows`: how many there are, counted to one more than the poll's limit. */
  readonly count: string
  /**
   * $1 id, $2 ms an entry may be used without a proof, $3 ms of the lease, $4 ms of the grace lease or null, $5 a number
   * that grows: a statement that is carried out late changes nothing, and counts no row.
   */
  readonly register: string
  /** $1 id: gone, and with it whatever has lapsed long ago. */
  readonly leave: string
}

export function outboxSql(shape: AuthShape): OutboxSql {
  const outbox = outboxTable(shape)
  const nodes = nodeTable(shape)
  // The server's start tells a promoted replica and a restored backup from what was there before; names do not.
  const database = `select d.oid || '.' || extract(epoch from pg_postmaster_start_time())
    from pg_database d where d.datname = current_database()`
  return {
    // What happened around a change of the triggers nobody can tell: it makes another database of this one.
    poll: `select (${database}) || '.' || coalesce(triggers.version, '') as database, triggers.firing,
  (select e.n::text from ${epochTable(shape)} e) as epoch,
  pg_snapshot_xmin(pg_current_snapshot())::text as next_cursor,
  ${ms('clock_timestamp()')} as now,
  (select coalesce(json_agg(json_build_object('id', n.id, 'leaseMs', n.lease_ms,
     'grace', coalesce(n.grace_until > clock_timestamp(), false))), '[]')
     from ${nodes} n where n.id <> $2::text and greatest(n.lease_until, n.grace_until) > clock_timestamp()) as others,
  o.id::text as id, o.kind::text as kind, o.key, o.cause, ${ms('o.at')} as at
from (${triggerStateSql(shape)}) as triggers left join ${outbox} o on o.xid >= $1::text::xid8
limit ${POLL_LIMIT + 1}`,
    collect: `delete from ${outbox} where id in (
  select o.id from ${outbox} o
   where o.xid < $1::text::xid8 and o.at < now() - interval '1 hour' order by o.xid limit 1000)`,
    count: `select count(*)::int as rows from (select 1 from ${outbox} limit ${POLL_LIMIT + 1}) o`,
    register: `insert into ${nodes} as n (id, lease_ms, lease_until, grace_until, turn)
values ($1::text, $2::text::integer, ${inMs('$3')}, ${inMs('$4')}, $5::text::bigint)
on conflict (id) do update set lease_ms = excluded.lease_ms, lease_until = excluded.lease_until,
  grace_until = excluded.grace_until, turn = excluded.turn
where n.turn <= excluded.turn`,
    leave: `delete from ${nodes}
 where id = $1::text or greatest(lease_until, grace_until) < now() - interval '10 minutes'`
  }
}

function ms(time: string): string {
  return `(extract(epoch from ${time}) * 1000)::float8`
}

function inMs(parameter: string): string {
  return `clock_timestamp() + ${parameter}::text::float8 * interval '1 millisecond'`
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
INSERT INTO ${epoch} DEFAULT VALUES ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS ${nodeTable(shape)} (
  id text PRIMARY KEY,
  lease_ms integer NOT NULL,
  lease_until timestamptz NOT NULL,
  grace_until timestamptz,
  turn bigint NOT NULL DEFAULT 0
);`
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
