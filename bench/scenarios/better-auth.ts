import { once } from 'node:events'
import { Redis } from 'ioredis'
import { failure, reportedPort, start } from '../processes.js'
import { seedDatabase, seedSecondaryStorage } from '../seed.js'
import { SECRET } from '../sessions.js'
import { server, type Stack, type StoreName } from '../stack.js'
import { type Gate, plainGate, type Scenario } from './scenario.js'

export const betterAuthGetSession: Scenario = {
  name: 'better-auth-get-session',
  what: 'F0 + stock Better Auth getSession per request, node-postgres, no log',
  path: '/orders/7',
  guarded: true,
  source: null,
  open: async stack => {
    const env = await prepare(stack, 'better_auth', {})
    await seedDatabase(env.DATABASE_URL, 'public', stack.sessions)
    return openBetterAuth(stack, env)
  }
}

export const betterAuthRedis: Scenario = {
  name: 'better-auth-redis',
  what: 'the same with its secondaryStorage on Redis (ioredis)',
  path: '/orders/7',
  guarded: true,
  source: null,
  open: async stack => {
    const url = stack.redisUrl('better_auth_redis')
    const env = await prepare(stack, 'better_auth_redis', { REDIS_URL: url })
    // With a secondary storage Better Auth makes no session table.
    await seedDatabase(env.DATABASE_URL, 'public', stack.sessions, ['user'])
    const redis = new Redis(url)
    await seedSecondaryStorage(redis, stack.sessions)
    await redis.quit()
    return openBetterAuth(stack, env)
  }
}

interface Environment extends Readonly<Record<string, string>> {
  readonly DATABASE_URL: string
}

async function prepare(stack: Stack, store: StoreName, extra: Readonly<Record<string, string>>): Promise<Environment> {
  const env = {
    DATABASE_URL: stack.databaseUrl(store),
    BETTER_AUTH_SECRET: SECRET,
    UPSTREAM: stack.upstream.url,
    ...extra
  }
  const { child } = await start({ name: 'migrate', command: [process.execPath, server('better-auth-migrate')], env })
  await Promise.race([once(child, 'exit'), failure(child)])
  return env
}

async function openBetterAuth(stack: Stack, env: Environment): Promise<Gate> {
  const command = [...stack.placement.gatePrefix, process.execPath, server('better-auth')]
  const started = await start({ name: 'better-auth', command, ipc: true, env })
  return plainGate(await reportedPort(started), started.pid)
}
