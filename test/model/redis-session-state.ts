/**
 * One session in Redis: readers that look up and fill, one that revokes, an applier that reads the outbox and renews
 * the heartbeat, and a Redis that loses entries, leases, messages, and fails over to a replica that lags. Property S:
 * once the answer is given, no look-up accepts the session. With a heartbeat also B: nor does any once H has passed
 * since the commit, answered or not.
 *
 * Limits. One session, two readers (with failovers one) with any number of requests, one revoker, one applier with any
 * number of readings, two failovers. Units of time: the heartbeat lives 2; two failovers lie at least a heartbeat
 * apart. What the revoker does in Redis is one INVALIDATE; in the gateway it is a whole reading of the outbox, which
 * does more.
 */
import type { StateOf, Step } from './explore.js'

export const HEARTBEAT = 2

export interface RedisDesign {
  readonly invalidates?: 'before' | 'after' | 'both'
  /** The revoker writes "gone" where others delete. */
  readonly writesThrough?: true
  /** It leaves a mark that refuses fills; `tombstoneEnds`: not for ever. */
  readonly tombstone?: true
  readonly tombstoneEnds?: true
  /** Only the reader that holds the lease fills; INVALIDATE deletes the lease. */
  readonly lease?: true
  /** Nothing is served or filled without the heartbeat that follows a reading of the outbox. */
  readonly heartbeat?: true
  /** The cursor is the applier's own and begins at the present, instead of lying beside the data. */
  readonly ownCursor?: true
  /** Entries, leases, and the state belong to one run of the server. */
  readonly bindsEntries?: true
  readonly bindsLeases?: true
  readonly bindsState?: true
  /** A heartbeat that comes when its time is over still moves the cursor. */
  readonly beatsLate?: true
  /** A request may join the read of another that has already been made. */
  readonly joins?: true
}

export interface RedisFaults {
  readonly evicts?: true
  /** INVALIDATE does not arrive, or the revoker dies after the commit. */
  readonly loses?: true
  readonly failovers?: 1 | 2
}

const DATA = {
  /** 1 the session, 2 "gone". */
  entry: 3,
  /** Of which run the entry is. */
  bound: 2,
  /** Whose; 0: nobody's. */
  lease: 3,
  tombstone: 2,
  beat: HEARTBEAT + 1,
  /** The cursor is past the change. */
  past: 2,
  /** Of which run the state is. */
  owner: 2
} as const

const READER = {
  /** 1 missed, 2 has read the row. */
  step: 3,
  lease: 2,
  /** Of which run its lease is. */
  run: 2,
  gone: 2
} as const

export const LAYOUT = {
  redis: DATA,
  replica: { ...DATA, present: 2 },
  first: READER,
  second: READER,
  applier: {
    /** 1 opened, 2 polled, 3 invalidated. */
    step: 4,
    age: HEARTBEAT + 1,
    /** What it opened with: the run, and whether the replica has fewer beats. */
    run: 2,
    newer: 2,
    /** The change was before its cursor; was read. */
    past: 2,
    read: 2
  },
  world: {
    run: 2,
    failovers: 3,
    sinceFailover: HEARTBEAT + 1,
    /** A heartbeat was renewed that the replica does not have. */
    beaten: 2,
    /** 0 begun, 1 deleted before, 2 committed, 3 waits for H, 4 may answer, 5 answered, 6 dead. */
    revoker: 7,
    elapsed: HEARTBEAT + 1,
    late: 2
  }
} as const

export type State = StateOf<typeof LAYOUT>

export type Stepper = Step<typeof LAYOUT>

export type Reader = 'first' | 'second'

export const COMMITTED = 2

export const ANSWERED = 5
