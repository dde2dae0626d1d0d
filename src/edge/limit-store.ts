/**
 * Where @fastify/rate-limit counts. Every attempt is counted here in the process and, when there is one, in
 * the counter that all nodes share; the larger count decides. So a limit holds across nodes, and it goes on
 * holding when the shared counter is gone, restarted or emptied: never an error, never unlimited (R82).
 *
 * Fixed windows that start with the first attempt: in the worst case twice the limit passes in one window's
 * length, half of it at the end of one window and half at the start of the next.
 */
import { LRUCache } from 'lru-cache'

export interface Count {
  readonly current: number
  /** Milliseconds until the window ends. */
  readonly ttl: number
}

/** Counts one attempt on every node. Rejects quickly when it cannot. */
export type SharedCounter = (key: string, windowMs: number) => Promise<Count>

/** About 10 MB; an attacker with more addresses than that pushes out his own oldest ones first. */
const MAX_KEYS = 50_000

export type LimitStoreClass = ReturnType<typeof limitStore>

/** The class @fastify/rate-limit asks for. Whoever has the same one counts together. */
export function limitStore(shared: SharedCounter | null) {
  const local = new LocalCounter()

  async function count(key: string, windowMs: number): Promise<Count> {
    const here = local.count(key, windowMs)
    const everywhere = await shared?.(key, windowMs).catch(() => null)
    return everywhere != null && everywhere.current >= here.current ? everywhere : here
  }

  return class LimitStore {
    incr(key: string, done: (error: null, count: Count) => void, windowMs: number): void {
      void count(key, windowMs).then(done.bind(undefined, null))
    }

    /** Keys carry the name of their limit, so one set of counters serves all of them. */
    child(): LimitStore {
      return this
    }
  }
}

class LocalCounter {
  readonly #windows = new LRUCache<string, { current: number; endsAt: number }>({ max: MAX_KEYS })

  count(key: string, windowMs: number): Count {
    const now = performance.now()
    let window = this.#windows.get(key)
    if (window === undefined || window.endsAt <= now) {
      window = { current: 0, endsAt: now + windowMs }
      this.#windows.set(key, window)
    }
    window.current++
    // Of two doubles' difference: a hair above the window, and a client would be told a second more.
    return { current: window.current, ttl: Math.min(windowMs, window.endsAt - now) }
  }
}
