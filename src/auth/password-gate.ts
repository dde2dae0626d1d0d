/**
 * Password hashing behind a gate. One scrypt costs about 100 ms of CPU and 32 MiB, also for an unknown
 * e-mail, and runs on the libuv thread pool that DNS look-ups and file reads share. Without a bound, a
 * burst of sign-ins starves the session checks of every other client.
 */
import { availableParallelism } from 'node:os'
import { APIError } from 'better-auth/api'
import { hashPassword, verifyPassword } from 'better-auth/crypto'

/** One core and one of libuv's four threads stay free. */
const AT_ONCE = Math.max(1, Math.min(availableParallelism(), 4) - 1)
/** What can be worked off within the 5 s a request may take (R64), with room to spare. */
const MAX_WAITING = 24 * AT_ONCE

/** Better Auth's own hash format, so that another Better Auth server on the same database can read it. */
export const passwordGate = createPasswordGate(AT_ONCE, MAX_WAITING)

/** A full queue is a 503 with Retry-After. */
export function createPasswordGate(atOnce: number, maxWaiting: number) {
  const waiting: (() => void)[] = []
  let running = 0

  async function pass<T>(work: () => Promise<T>): Promise<T> {
    if (running >= atOnce) {
      if (waiting.length >= maxWaiting) throw overloaded()
      await new Promise<void>(resolve => waiting.push(resolve))
    } else {
      running++
    }
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      // The place is handed on, not given back: nobody can slip in between.
      if (next === undefined) running--
      else next()
    }
  }

  return {
    hash: (password: string) => pass(() => hashPassword(password)),
    verify: (input: { hash: string; password: string }) => pass(() => verifyPassword(input))
  }
}

function overloaded(): APIError {
  return new APIError('SERVICE_UNAVAILABLE', { code: 'AUTH_SERVICE_UNAVAILABLE', message: 'Try again shortly.' })
}
