/**
 * Sessions in the memory of a process. Node 1 revokes; one of the two nodes is looked at ("mine" is its memory): its
 * look-ups fill from PostgreSQL and from Redis, its own readings of the outbox prove and drop. Whatever a node does
 * with Redis or PostgreSQL may fail, messages may be lost, a node may pause between any two steps. Property S: once the
 * answer is given, neither Redis nor that memory accepts the old state.
 *
 * Limits. One change (a session that was deleted, or the role of a user with two sessions), one revoker, two nodes, one
 * failover; any number of requests, readings, renewals and registrations. The old entry is taken to be in Redis until
 * an INVALIDATE deletes it or a failover unbinds it (that it cannot come back: `redis-session.ts`), and no grace
 * (`grace.ts`). Units of time: lease 1, heartbeat 2; one clock for all, so no drift. One Redis.
 */
import type { StateOf, Step } from './explore.js'

export const LEASE = 1

export const HEARTBEAT = 2

export interface MemoryDesign {
  /** The answer does not wait for the other nodes. */
  readonly waitsForNobody?: true
  /** A look-up that was under way when something was dropped fills all the same. */
  readonly fillsAfterDrop?: true
  /** The acknowledgement leaves when memory is dropped, before the INVALIDATE has reached Redis. */
  readonly acksEarly?: true
  /** Memory is dropped before Redis, and looked-up again from there. */
  readonly dropsFirst?: true
  /** A hit of a Redis that does not know of the change yet is taken into memory. */
  readonly fillsWhileBehind?: true
  /** That Redis has caught up does not count as a drop, and replies may overtake each other. */
  readonly catchesUpSilently?: true
  /** A reading that began before the node was registered proves its memory. */
  readonly provesEarlierReadings?: true
  /** The proof counts from the end of the reading. */
  readonly provesFromTheEnd?: true
  /** Who must be waited for was read before the commit. */
  readonly knownNodesOnly?: true
  /** An acknowledgement of an earlier question counts. */
  readonly unnumbered?: true
  /** The row is deleted while the memory is still used. */
  readonly leavesEarly?: true
  /** Where Redis is out of reach, the answer waits for the lease, not for the heartbeat. */
  readonly waitsLeaseOnly?: true
  /** A role change drops what is known under one session, not all of the user. */
  readonly dropsOneSession?: true
}

const NODE = {
  /** 0 idle, 1 Redis opened, 2 polled, 3 Redis done, 4 memory dropped first. */
  step: 5,
  age: HEARTBEAT + 1,
  /** 0 failed, 1 the cursor in Redis is before the change, 2 after it. */
  opened: 3,
  /** 0 before the commit, 1 after it with nothing to apply, 2 the change was read. */
  read: 3,
  /** Began after the commit (node 1), after the question (node 2). */
  after: 2,
  reached: 2,
  /** Its own cursor is past the change. */
  past: 2
} as const

export const LAYOUT = {
  redis: { entry: 2, beat: HEARTBEAT + 1, past: 2, failovers: 2 },
  one: NODE,
  two: NODE,
  mine: {
    /** What is held of the old state, by session. */
    first: 2,
    second: 2,
    /** How long it may be used without a further proof. */
    proven: LEASE + 1,
    behind: 2,
    /** A look-up with the old state in its hands: 1 from Redis, 2 from PostgreSQL. */
    flight: 3,
    session: 2,
    stale: 2,
    /** The reading under way began after the registration was known. */
    began: 2
  },
  /** Node 2 in the register: the row, and what the node knows of it. */
  register: { row: 2, known: 2 },
  revoker: {
    /** 0 not yet, 1 committed, 2 answered. */
    phase: 3,
    elapsed: HEARTBEAT + 1,
    /** Of its readings after the commit: 0 none, 1 without Redis, 2 with. */
    own: 3,
    /** The other node was registered. */
    others: 2,
    /** 1 asked, 2 heard, 3 applying, 4 and 5 answered without and with Redis, 6 and 7 the answer has arrived. */
    ask: 8,
    /** The answer to an earlier question, on its way: 1 without, 2 with Redis. */
    older: 3,
    late: 2
  }
} as const

export type State = StateOf<typeof LAYOUT>

export type Stepper = Step<typeof LAYOUT>

export type Who = 'one' | 'two'

export interface MemoryCase {
  /** Whose memory is looked at. */
  readonly memoryOf: Who
  readonly change: 'session' | 'role'
  /** What may go wrong, beside pauses and lost messages. */
  readonly fault: 'none' | 'redis' | 'failover' | 'registration'
}

export interface Scene extends MemoryCase {
  readonly design: MemoryDesign
  /** Where Redis always answers nobody waits for the heartbeat, and the lease is all that is measured. */
  readonly longest: number
  readonly redisFails: boolean
}
