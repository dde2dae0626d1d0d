/** How a gateway reads the outbox and the epoch, and how it registers (outbox-tables.ts). */
import type { AuthShape } from '../src/data/auth-shape.js'
import { epochTable, nodeTable, outboxTable } from './outbox-tables.js'
import { triggerStateSql } from './trigger-state-sql.js'

/** A poll answers one event more when there are more than that: dropping the whole cache is less work for everybody. */
export const POLL_LIMIT = 10_000

export interface OutboxSql {
  /**
   * $1 a cursor, the text of a snapshot ('1:1:': everything), or null for no events; $2 the id of the gateway that
   * asks. At least one row; in each `database`, `epoch`, `next_cursor`, `now` (ms), `firing` (false: a trigger is
   * missing or changed, so events may be missing) and `others` (registered gateways: id, leaseMs, grace), and `xid` of
   * its transaction, `kind` ('s' session, 'u' user), `key` (sha256 of the token, or user id), `cause` and `at` (ms) of
   * an event or nulls. The events are those that the next cursor sees and $1 does not: none comes twice, and none is
   * skipped, however late its transaction commits.
   */
  readonly poll: string
  /** $1 a cursor: deletes up to a thousand rows that are old and of transactions before the oldest it saw running. */
  readonly collect: string
  /** `rows`: how many there are, counted to one more than the poll's limit. */
  readonly count: string
  /**
   * $1 id, $2 ms an entry may be used without a proof, $3 ms of the lease, $4 ms of the grace lease or null, $5 a
   * number that grows: a statement that is carried out late changes nothing, and counts no row.
   */
  readonly register: string
  /** $1 id: gone, and with it whatever has lapsed long ago. */
  readonly leave: string
}

export function outboxSql(shape: AuthShape): OutboxSql {
  const outbox = outboxTable(shape)
  const nodes = nodeTable(shape)
  // The server's start tells a promoted replica and a restored backup from what was there before; names do not. After
  // the crash of one of its processes it begins anew with that start unchanged, its statistics reset, and transaction
  // ids that never reached the disk are given out again: a cursor from before the crash passes them over.
  const database = `select concat_ws('.', d.oid, extract(epoch from pg_postmaster_start_time()),
      extract(epoch from pg_stat_get_bgwriter_stat_reset_time()))
    from pg_database d where d.datname = current_database()`
  return {
    // What happened around a change of the triggers nobody can tell: it makes another database of this one.
    poll: `select concat_ws('.', (${database}), triggers.version, triggers.firing) as database, triggers.firing,
  coalesce((select e.n::text from ${epochTable(shape)} e), '0') as epoch,
  (select pg_current_snapshot()::text) as next_cursor,
  ${ms('clock_timestamp()')} as now,
  (select coalesce(json_agg(json_build_object('id', n.id,
     'leaseMs', case when n.lease_until > clock_timestamp() then n.lease_ms else 0 end,
     'grace', coalesce(n.grace_until > clock_timestamp(), false))), '[]')
     from ${nodes} n where n.id <> $2::text and greatest(n.lease_until, n.grace_until) > clock_timestamp()) as others,
  o.xid::text as xid, o.kind::text as kind, o.key, o.cause, ${ms('o.at')} as at
from (${triggerStateSql(shape)}) as triggers left join (${unseenSql(outbox)}) o on true
limit ${POLL_LIMIT + 1}`,
    collect: `delete from ${outbox} where id in (
  select o.id from ${outbox} o
   where o.xid < pg_snapshot_xmin($1::text::pg_snapshot) and o.at < now() - interval '1 hour' order by o.xid limit 1000)`,
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

/**
 * Rows that were committed since the cursor: of transactions that ended after its snapshot, and of those that were
 * running then. What still runs is left out before its rows are looked at; it may have written a million. Two arms and
 * the bounds on both sides, as with `or`, or without them, the planner reads the whole table after a mass change (82 ms
 * for 200,000 rows instead of 0.06, PostgreSQL 18, 2026-11-21).
 */
function unseenSql(outbox: string): string {
  const cursor = '$1::text::pg_snapshot'
  return `select * from ${outbox}
   where xid >= pg_snapshot_xmax(${cursor}) and xid < pg_snapshot_xmax(pg_current_snapshot())
  union all select * from ${outbox}
   where xid = any(array(select x from pg_snapshot_xip(${cursor}) x where pg_visible_in_snapshot(x, pg_current_snapshot())))
     and xid >= pg_snapshot_xmin(${cursor}) and xid < pg_snapshot_xmax(${cursor})`
}

function ms(time: string): string {
  return `(extract(epoch from ${time}) * 1000)::float8`
}

function inMs(parameter: string): string {
  return `clock_timestamp() + ${parameter}::text::float8 * interval '1 millisecond'`
}
