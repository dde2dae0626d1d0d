/** How long a connection to a target is kept: idle, and at all. Milliseconds. */

/** For a target that does not say how long it keeps one itself. */
const IDLE_MS = 4000
/** Well below the idle timeouts of firewalls, whatever the target's Keep-Alive header promises. */
const LONGEST_IDLE_MS = 60_000
/** Who closes first must be us, or a call meets a connection that is being closed. */
const BEFORE_TARGET_MS = 1000
/** A name may come to mean another address, and under load no connection would ever be idle. */
const LONGEST_LIFE_MS = 60_000
/** What was opened in one rush shall not end in one. */
const JITTER = 0.2

/** `promisedMs`: what the target says; null: nothing. 0 or less: not at all. */
export function idleMs(promisedMs: number | null): number {
  return promisedMs === null ? IDLE_MS : Math.min(promisedMs - BEFORE_TARGET_MS, LONGEST_IDLE_MS)
}

export function lifeMs(): number {
  return LONGEST_LIFE_MS * (1 - JITTER * Math.random())
}
