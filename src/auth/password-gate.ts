/**
 * Password hashing behind a gate. One scrypt costs about 100 ms of CPU and 32 MiB, also for an unknown e-mail. Without a
 * bound, a burst of sign-ins starves the session checks of every other client.
 */
import { availableParallelism } from 'node:os'
import { APIError } from 'better-auth/api'
import { PasswordThread } from './password-thread.js'

/** One core stays free. */
const AT_ONCE = Math.max(1, Math.min(availableParallelism(), 4) - 1)
/** What can be worked off within the 5 s a request may take (R64), with room to spare. */
const MAX_WAITING = 24 * AT_ONCE

export const passwordGate = createPasswordGate(AT_ONCE, MAX_WAITING)

/** A full queue is a 503 with Retry-After. */
export function createPasswordGate(atOnce: number, maxWaiting: number) {
  const waiting: (() => void)[] = []
  const idle: PasswordThread[] = []
  let running = 0

  async function pass(password: string, hash: string | null): Promise<string | boolean> {
    if (running >= atOnce) {
      if (waiting.length >= maxWaiting) throw overloaded()
      await new Promise<void>(resolve => waiting.push(resolve))
    } else {
      running++
    }
    const thread = idle.pop() ?? new PasswordThread()
    try {
      return await thread.run({ password, hash })
    } finally {
      idle.push(thread)
      const next = waiting.shift()
      // The place is handed on, not given back: nobody can slip in between.
      if (next === undefined) running--
      else next()
    }
  }

  return {
    hash: async (password: string) => String(await pass(password, null)),
    verify: async ({ hash, password }: { hash: string; password: string }) => (await pass(password, hash)) === true
  }
}

function overloaded(): APIError {
  return new APIError('SERVICE_UNAVAILABLE', { code: 'AUTH_SERVICE_UNAVAILABLE', message: 'Try again shortly.' })
}
