/** Counts attempts in Redis, one window per key, for all nodes together. */
import type { RedisLink } from './redis.js'

/** Atomic, so that no key is left without an end. PTTL is -1 for one that lost it. */
const COUNT = `
local current = redis.call('INCR', KEYS[1])
local ttl = redis.call('PTTL', KEYS[1])
if ttl < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  ttl = tonumber(ARGV[1])
end
return {current, ttl}`

/** The hash tag of all our keys: on a cluster we talk to the owner of that one slot. */
const PREFIX = '{sg}:limit:'

/** Rejects at once while Redis is known to be away, and within its command timeout otherwise. */
export function sharedCounter({ client, breaker }: Pick<RedisLink, 'client' | 'breaker'>) {
  return async (key: string, windowMs: number): Promise<{ readonly current: number; readonly ttl: number }> => {
    if (!breaker.admits()) throw new Error('redis is away')
    const sentAt = performance.now()
    try {
      const [current, ttl] = (await client.eval(COUNT, 1, PREFIX + key, windowMs)) as [number, number]
      breaker.succeeded()
      return { current, ttl }
    } catch (error) {
      // An answer, if only that memory is full: Redis is there.
      if ((error as Error).name === 'ReplyError') breaker.succeeded()
      else breaker.failed(sentAt)
      throw error
    }
  }
}
