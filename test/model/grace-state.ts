/**
 * Grace without PostgreSQL, and who must wait for it. Node 1 revokes; both nodes poll, renew the heartbeat in Redis and
 * hold grace leases. Whatever a node does with PostgreSQL or Redis may fail, at any moment and for any time, so every
 * partition is in it, and so is every one that heals and comes back. Property S: once the answer is given, no look-up
 * in Redis finds the old entry alive.
 *
 * Limits. One change, one revoker, two nodes that poll; any number of readers, of polls, renewals and bridged
 * heartbeats. The old entry is taken to be in Redis until an INVALIDATE deletes it (that it cannot come back is
 * `redis-session.ts`). Units of time: heartbeat 2, grace lease 3; one clock for all, so no drift. One Redis. No memory
 * in the processes (`memory.ts`).
 */
import type { StateOf, Step } from './explore.js'

export const HEARTBEAT = 2

/** Longer than the rest of a heartbeat; all but one of the designs show what they are with 2. */
const GRACE = 3

export interface GraceDesign {
  /** Without polling, the heartbeat is renewed whether or not a grace lease runs. */
  readonly bridgeWithoutLease?: true
  /** The revoker that does not reach Redis waits for the heartbeat only. */
  readonly ignoresGrace?: true
  /** The row is given up first, the node's own variable after that. */
  readonly rowFirst?: true
  /** An acknowledgement counts for Redis whatever it says about Redis. */
  readonly anyAckCounts?: true
  /** A lease is used from the moment it is taken up, not from the first whole poll that began after that. */
  readonly usableAtOnce?: true
  /** The row is given up together with the variable, though a heartbeat renewed under it may still run. */
  readonly noTail?: true
  /** A node whose last application did not reach Redis still renews the heartbeat when it cannot read the outbox. */
  readonly bridgesWhenBehind?: true
  /** The revoker does not wait for the heartbeat that it renewed itself without reading the outbox. */
  readonly ignoresOwnBeat?: true
  /** Nothing tells a statement that PostgreSQL executes late from a newer one. */
  readonly unordered?: true
}

/** What a node can reach; 'flaky': now and then. */
export type Link = 'up' | 'down' | 'flaky'

export interface Links {
  readonly postgres: readonly [Link, Link]
  readonly redis: readonly [Link, Link]
}

const NODE = {
  /** 0 idle, 1 Redis opened, 2 polled. */
  step: 3,
  /** Since Redis' clock was read. */
  age: HEARTBEAT + 1,
  opened: 2,
  /** The outbox was read after the commit. */
  read: 2,
  /** This reading of the outbox began after the commit. */
  after: 2,
  /** The last application reached Redis. */
  reached: 2,
  /** What is left of the lease, by its own clock; in the row. */
  own: GRACE + 1,
  row: GRACE + 1,
  /** The lease was running when the poll under way began; may be used. */
  began: 2,
  usable: 2,
  /** What is left of the heartbeat that it renewed last without reading the outbox. */
  bridged: HEARTBEAT + 1,
  /** 1 the row is renewed and the node waits for the answer, 2 its own lease is given up and the row is to follow. */
  statement: 3
} as const

export const LAYOUT = {
  redis: { entry: 2, beat: HEARTBEAT + 1 },
  one: NODE,
  two: NODE,
  revoker: {
    /** 0 not yet, 1 committed, 2 answered. */
    phase: 3,
    elapsed: HEARTBEAT + 1,
    /** Of the readings begun after the commit: 0 none, 1 without Redis, 2 with. */
    own: 3,
    /** The last of them saw a grace lease of the other node. */
    grace: 2,
    /** 1 asked, 2 heard, 3 applying, 4 and 5 answered without and with Redis, 6 and 7 the answer has arrived. */
    ask: 8,
    /** A look-up accepted what was revoked. */
    late: 2
  },
  /** A give-up that was sent, found no answer in time, and is still on its way to PostgreSQL. */
  wire: { one: 2, two: 2 }
} as const

export type State = StateOf<typeof LAYOUT>

export type Stepper = Step<typeof LAYOUT>

export type Who = 'one' | 'two'

export interface Reach {
  readonly postgres: Link
  readonly redis: Link
}

export function graceLength({ unordered }: GraceDesign): number {
  return unordered ? GRACE : HEARTBEAT
}
