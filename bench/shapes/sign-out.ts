/** The end of one session, seen from outside: who still accepts it, and until when. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { SeededSession } from '../sessions.js'

/** Long enough for each node to have the session in its memory. */
const BEFORE_MS = 100
/** The questions must not be the load. */
const PAUSE_MS = 10
const GIVE_UP_MS = 10_000

export interface Ending {
  /** Milliseconds from sending the sign-out. */
  readonly answeredMs: number
  /** Until every node has refused the session. */
  readonly refusedMs: number
  /** Requests sent after the answer had come, and let through. */
  readonly lateAcceptances: number
  /** Answers that are neither 200 nor 401, the sign-out's own included. */
  readonly failures: number
}

/** Signs out at the first of `origins`. Each is asked all the time, one request soon after the other. */
export async function endSession(origins: readonly string[], { cookie }: SeededSession): Promise<Ending> {
  const [first = ''] = origins
  const clock = { answeredAt: Number.POSITIVE_INFINITY }
  const watches = origins.map(origin => watch(`${origin}/cached/orders/7`, cookie, clock))
  await sleep(BEFORE_MS)

  const sentAt = performance.now()
  const answer = await fetch(`${first}/api/auth/sign-out`, {
    method: 'POST',
    headers: { cookie, origin: first, 'content-type': 'application/json' },
    body: '{}'
  })
  await answer.arrayBuffer()
  clock.answeredAt = performance.now()

  const seen = await Promise.all(watches)
  return {
    answeredMs: clock.answeredAt - sentAt,
    refusedMs: Math.max(...seen.map(({ refusedAt }) => refusedAt)) - sentAt,
    lateAcceptances: seen.reduce((sum, { late }) => sum + late, 0),
    failures: seen.reduce((sum, { failures }) => sum + failures, answer.status === 200 ? 0 : 1)
  }
}

async function watch(url: string, cookie: string, clock: { readonly answeredAt: number }) {
  const begin = performance.now()
  const seen = { refusedAt: Number.NaN, late: 0, failures: 0 }
  while (performance.now() - begin < GIVE_UP_MS) {
    const sentAt = performance.now()
    const response = await fetch(url, { headers: { cookie } })
    await response.arrayBuffer()
    if (response.status === 401) return { ...seen, refusedAt: performance.now() }
    if (response.status !== 200) seen.failures++
    else if (sentAt > clock.answeredAt) seen.late++
    await sleep(PAUSE_MS)
  }
  return { ...seen, failures: seen.failures + 1, refusedAt: performance.now() }
}
