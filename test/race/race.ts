/**
 * Readers against a sign-out, thousands of times: is a session ever accepted by a request that was sent after the
 * answer to its sign-out had arrived? (D02, G1.) Which caches are raced is the design's business; the harness knows
 * none.
 *
 * A session is born with the race, so that its first look-ups, its fills and its sign-out fall into the same
 * milliseconds; entries are evicted at random in between, so that fills go on to the end.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestSession } from '../support/gateway-pair.js'

const AT_ONCE = 8
const READERS = [0, 1, 1]
/** Each goes on until the answer, and so often after it. */
const READS_AFTER = 2
/** Longest pause between two reads, and before the sign-out, in ms. */
const READ_PAUSE = 3
const SIGN_OUT_AFTER = 8
const EVICTED = 0.2

export interface Design {
  /** Whether the upstream was reached. The request leaves this process during the call, not before. */
  readonly accepts: (node: number, session: TestSession) => Promise<boolean>
  /** True when the answer was 200; resolves when it has arrived. */
  readonly signOut: (node: number, session: TestSession) => Promise<boolean>
  /** Takes the shared copy away, as Redis may at any time. */
  readonly evict: (session: TestSession) => Promise<unknown>
}

export interface RaceOptions {
  readonly design: Design
  readonly sessions: number
  /** That many, new. */
  readonly create: (count: number) => Promise<readonly TestSession[]>
  readonly onProgress?: (done: number, late: number) => void
}

export interface RaceResult {
  readonly sessions: number
  readonly requests: number
  /** Requests sent after the answer: all of them, and how long after it those were sent that were accepted, in ms. */
  readonly after: number
  readonly late: readonly number[]
  readonly lateSessions: number
  /** How long each sign-out took to be answered, in ms. */
  readonly answered: readonly number[]
  /** Sign-outs that were not answered with 200: they promise nothing. */
  readonly unanswered: number
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
type Tally = Mutable<RaceResult> & { late: number[]; answered: number[] }

export async function runRace({ design, sessions, create, onProgress }: RaceOptions): Promise<RaceResult> {
  const tally: Tally = { sessions, requests: 0, after: 0, late: [], lateSessions: 0, answered: [], unanswered: 0 }
  for (let done = 0; done < sessions; done += AT_ONCE) {
    const group = await create(Math.min(AT_ONCE, sessions - done))
    await Promise.all(group.map((session, i) => raceOne(design, session, (done + i) % 2, tally)))
    onProgress?.(done + group.length, tally.late.length)
  }
  return tally
}

async function raceOne(design: Design, session: TestSession, revoker: number, tally: Tally): Promise<void> {
  let answeredAt: number | null = null
  let isOver = false
  let late = 0

  async function ask(node: number): Promise<void> {
    const sentAt = performance.now()
    const isAfter = answeredAt !== null
    const accepted = await design.accepts(node, session)
    tally.requests++
    if (!isAfter) return
    tally.after++
    if (!accepted) return
    late++
    tally.late.push(sentAt - (answeredAt ?? sentAt))
  }

  const readers = READERS.map(async node => {
    for (let after = 0; after < READS_AFTER; ) {
      if (isOver) after++
      await ask(node)
      await sleep(Math.random() * READ_PAUSE)
      if (Math.random() < EVICTED) await design.evict(session)
    }
  })
  await sleep(Math.random() * SIGN_OUT_AFTER)
  const sentAt = performance.now()
  if (await design.signOut(revoker, session)) {
    answeredAt = performance.now()
    tally.answered.push(answeredAt - sentAt)
  } else tally.unanswered++
  isOver = true
  await Promise.all([...readers, ask(0), ask(1)])
  for (const node of [0, 1]) await ask(node)
  if (late > 0) tally.lateSessions++
}
