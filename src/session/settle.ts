/**
 * What the answer to a revocation waits for, and what makes it true: the change is applied in Redis, or no heartbeat
 * that does not know of it is alive; and every other gateway has dropped it from memory, or may not use its memory.
 */
import { unavailable } from '../data/guarded-sql.js'
import type { Question } from './acknowledgements.js'
import { type Applied, type Applier, HEARTBEAT_MS } from './applier.js'
import type { Fleet } from './fleet.js'
import type { Peer } from './outbox.js'

/** Ours and that of Redis measure the same three seconds. */
const CLOCK_MARGIN_MS = 100
const RETRY_MS = 100

/** How long an answer waited for the other gateways. */
export type Waited = (ms: number, outcome: 'alone' | 'acknowledged' | 'lease_ended') => void

export interface SettleOptions {
  /** Reads and applies the outbox, beginning after the call. */
  readonly apply: () => Promise<Applied>
  readonly ask: () => Question
  /** Others were registered a moment ago: they are asked at once, so that they apply it while we do. */
  readonly expectsOthers: boolean
  readonly applier: Applier
  readonly fleet: Fleet
  readonly hasRedis: boolean
  readonly onWaited?: Waited
}

/**
 * Resolves when everything committed before the call is in force on every node. Throws AUTH_SERVICE_UNAVAILABLE when
 * PostgreSQL cannot say what was committed, or when a gateway that we do not reach may go on without PostgreSQL.
 */
export async function settle({ apply, ask, expectsOthers, ...options }: SettleOptions): Promise<void> {
  const { applier, fleet, hasRedis, onWaited } = options
  const begunAt = performance.now()
  let question = expectsOthers ? ask() : null
  try {
    for (;;) {
      const { nonce, others } = await apply()
      if (others.length > 0) question ??= ask()
      if (!hasRedis || nonce !== '' || isAppliedByOthers(question, applier.lastNonce)) {
        return await waitForOthers(others, question, begunAt, onWaited)
      }
      // By then every heartbeat that does not know of the change has lapsed, unless another keeps one alive on its own.
      const lapsesAt = Math.max(begunAt + HEARTBEAT_MS, fleet.bridgedUntil)
      if (performance.now() >= lapsesAt + CLOCK_MARGIN_MS) {
        if (others.some(peer => mayBridge(peer, question))) throw unavailable('grace_lease_elsewhere')
        return await waitForOthers(others, question, begunAt, onWaited)
      }
      await nextAnswer(question, RETRY_MS)
    }
  } finally {
    question?.close()
  }
}

/** Another node that reaches the very data we last saw has applied the change in it. */
function isAppliedByOthers(question: Question | null, lastNonce: string): boolean {
  return lastNonce !== '' && [...(question?.answers.values() ?? [])].includes(lastNonce)
}

/**
 * Who has applied the change in Redis, be it another one than ours, can keep nothing alive that does not know of it.
 */
function mayBridge({ id, grace }: Peer, question: Question | null): boolean {
  return grace && (question?.answers.get(id) ?? '') === ''
}

/** Until the last of them has answered, or may no longer use what it had in memory when we began. */
async function waitForOthers(
  others: readonly Peer[],
  question: Question | null,
  begunAt: number,
  onWaited: Waited | undefined
): Promise<void> {
  const waitedFrom = performance.now()
  for (;;) {
    const silent = others.filter(({ id, leaseMs }) => leaseMs > 0 && question?.answers.has(id) !== true)
    const end = begunAt + CLOCK_MARGIN_MS + Math.max(0, ...silent.map(({ leaseMs }) => leaseMs))
    const now = performance.now()
    if (silent.length === 0 || now >= end) {
      const outcome = others.length === 0 ? 'alone' : silent.length === 0 ? 'acknowledged' : 'lease_ended'
      return onWaited?.(now - waitedFrom, outcome)
    }
    await nextAnswer(question, end - now)
  }
}

function nextAnswer(question: Question | null, atMostMs: number): Promise<void> {
  return new Promise(resolve => {
    const over = setTimeout(resolve, atMostMs)
    void question?.next().then(() => {
      clearTimeout(over)
      resolve()
    })
  })
}
