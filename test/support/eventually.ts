import { setTimeout as sleep } from 'node:timers/promises'

/** Waits for a state that comes by itself; no longer than the deadline, and no shorter than needed. */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
  what: string,
  deadlineMs = 10_000
): Promise<void> {
  const end = performance.now() + deadlineMs
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`Not within ${deadlineMs} ms: ${what}`)
    await sleep(5)
  }
}
