/**
 * `doctor`: Redis. Reachable within the time a request gives it, new enough, and not made to forget the wrong things.
 */
import type { Redis } from 'ioredis'
import type { Env } from '../config/env.js'
import { RedisLink } from '../data/redis.js'
import { type Diagnosis, fail, ok, warn, within, wordsOf } from './diagnosis.js'

const DEADLINE_MS = 5_000
const COMMAND_MS = 2_000
/** Requests wait 50 ms and then ask PostgreSQL. */
const SLOW_MS = 10
const OLDEST = [6, 2] as const

export async function examineRedis({ redisUrl, workers, production }: Env): Promise<Diagnosis[]> {
  if (redisUrl === null) {
    const alone = 'none: fit for one gateway on one machine'
    return [
      workers > 1 || production
        ? warn('redis', `${alone}. Limits are counted by every process for itself.`)
        : ok('redis', alone)
    ]
  }
  let lastError: unknown = null
  const link = new RedisLink(redisUrl, () => {}, COMMAND_MS)
  link.client.on('error', error => {
    lastError = error
  })
  try {
    await within(DEADLINE_MS, ready(link.client))
    return await within(DEADLINE_MS, examineServer(link.client))
  } catch (error) {
    return [
      fail(
        'redis',
        `REDIS_URL leads nowhere: ${wordsOf(lastError ?? error)}. What memory does not hold, PostgreSQL is asked for.`
      )
    ]
  } finally {
    link.close()
  }
}

async function ready(client: Redis): Promise<void> {
  if (client.status !== 'ready') await new Promise<void>(resolve => client.once('ready', () => resolve()))
}

async function examineServer(client: Redis): Promise<Diagnosis[]> {
  const info = infoOf(await client.info())
  const { scripted, ms } = await script(client)
  const version = info.get('redis_version') ?? ''
  const name = `${info.has('valkey_version') ? `Valkey ${info.get('valkey_version')}` : `Redis ${version}`}`
  const found = [
    ...(isOld(version) ? [fail('redis', `${name} is too old, ${OLDEST.join('.')} is needed.`)] : []),
    ...(info.get('role') === 'slave'
      ? [fail('redis', 'this is a replica, and takes no writes. Name the primary, or Sentinel.')]
      : []),
    ...(scripted === 1
      ? []
      : [
          fail(
            'redis',
            `scripts are refused: ${wordsOf(scripted)}.`,
            'ACL SETUSER <user> +@scripting +@read +@write +info'
          )
        ]),
    ...(ms > SLOW_MS ? [warn('redis', `answers in ${ms.toFixed(1)} ms; beyond 50 ms a request asks PostgreSQL.`)] : []),
    ...memory(info)
  ]
  const policy = info.get('maxmemory_policy') ?? 'unknown'
  return found.length > 0
    ? found
    : [ok('redis', `${name}, ${info.get('role')}, ${policy}, answers in ${ms.toFixed(1)} ms`)]
}

/** As a look-up does. The quickest of three: this machine may be busy with something else. */
async function script(client: Redis): Promise<{ scripted: unknown; ms: number }> {
  let scripted: unknown
  let ms = Number.POSITIVE_INFINITY
  for (let i = 0; i < 3; i++) {
    const begun = performance.now()
    scripted = await client.eval('return 1', 0).catch((error: unknown) => error)
    ms = Math.min(ms, performance.now() - begun)
  }
  return { scripted, ms }
}

function isOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])
}

/**
 * Counters of limits and the heartbeat have an end as sessions do, but are used all the time: `volatile-lru` spares
 * them.
 */
function memory(info: ReadonlyMap<string, string>): Diagnosis[] {
  const policy = info.get('maxmemory_policy') ?? ''
  const limit = Number(info.get('maxmemory') ?? 0)
  const used = Number(info.get('used_memory') ?? 0)
  const mend = 'redis-cli CONFIG SET maxmemory-policy volatile-lru'
  if (policy === 'noeviction' && limit > 0 && used > limit * 0.9) {
    const message = `${Math.round((used / limit) * 100)} % of its memory is taken and noeviction keeps new sessions out of the cache.`
    return [warn('redis', message, mend, 'redis-cli CONFIG SET maxmemory <more>')]
  }
  if (policy === 'noeviction' || policy === 'volatile-lru' || policy === 'volatile-lfu' || policy === '') return []
  return [
    warn(
      'redis',
      `maxmemory-policy ${policy} may throw out counters of limits and the heartbeat, without which the cache stands still.`,
      mend
    )
  ]
}

/** `INFO`: lines of `name:value` between headings. */
function infoOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split(/\r?\n/).flatMap(line => {
      const colon = line.indexOf(':')
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const]
    })
  )
}
