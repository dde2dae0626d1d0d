import { once } from 'node:events'
import { Redis } from 'ioredis'
import { failure, reportedPort, start } from '../processes.js'
import { seedDatabase, seedSecondaryStorage } from '../seed.js'
import { SECRET, sessionsOf } from '../sessions.js'
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
    return openGuarded(stack, 'better-auth', env)
  }
}

export const betterAuthDrizzle: Scenario = {
  name: 'better-auth-drizzle',
  what: 'F0 + stock Better Auth getSession per request, drizzle on postgres.js, no log',
  path: '/orders/7',
  guarded: true,
  source: null,
  onlyInFull: true,
  open: async stack => {
    const env = await prepare(stack, 'better_auth_drizzle', {})
    await seedDatabase(env.DATABASE_URL, 'public', stack.sessions)
    return openGuarded(stack, 'better-auth', { ...env, ORM: 'drizzle' })
  }
}

export const betterAuthRedis: Scenario = {
  name: 'better-auth-redis',
  what: 'F0 + stock Better Auth getSession per request, its secondaryStorage on Redis (ioredis), no log',
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
    return openGuarded(stack, 'better-auth', env)
  }
}

export const ttlCache: Scenario = {
  name: 'ttl-cache',
  what: 'F0 + one Redis GET, getSession where it misses, five minutes: a sign-out takes as long to be in force',
  path: '/orders/7',
  guarded: true,
  source: null,
  onlyInFull: true,
  open: async stack => {
    const env = await prepare(stack, 'ttl_cache', { CACHE_URL: stack.redisUrl('ttl_cache') })
    await seedDatabase(env.DATABASE_URL, 'public', stack.sessions)
    const gate = await openGuarded(stack, 'ttl-cache', env)
    // Its five minutes outlast the measurement: hits are measured, not the filling.
    for (const { cookie } of sessionsOf('rotation', stack.sessions)) {
      const response = await fetch(`${gate.origin}/orders/7`, { headers: { cookie } })
      await response.arrayBuffer()
    }
    return gate
  }
}

export const httpCall: Scenario = {
  name: 'http-call',
  what: "F0 + fetch of another process's /api/auth/get-session per request; processor time is that of both",
  path: '/orders/7',
  guarded: true,
  source: null,
  open: async stack => {
    const env = await prepare(stack, 'auth_service', {})
    await seedDatabase(env.DATABASE_URL, 'public', stack.sessions)
    const service = await openGuarded(stack, 'auth-service', env)
    const front = await openGuarded(stack, 'http-call', { ...env, AUTH_SERVICE: service.origin })
    return { ...front, pids: [...front.pids, ...service.pids] }
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

/** On the gate's core, as everything that works for the request before the upstream does. */
async function openGuarded(stack: Stack, name: string, env: Environment & Record<string, string>): Promise<Gate> {
  const command = [...stack.placement.gatePrefix, process.execPath, server(name)]
  const started = await start({ name, command, ipc: true, env })
  return plainGate(await reportedPort(started), started.pid)
}
