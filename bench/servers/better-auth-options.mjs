/** Better Auth as its documentation sets it up: a pg.Pool or drizzle, or with its secondary storage on Redis. */
import { betterAuth } from 'better-auth'
import { admin } from 'better-auth/plugins'
import { Redis } from 'ioredis'
import { Pool } from 'pg'
import { drizzleDatabase } from './drizzle-database.mjs'

const { DATABASE_URL, ORM, REDIS_URL, BETTER_AUTH_SECRET } = process.env

export const options = {
  baseURL: 'http://localhost',
  secret: BETTER_AUTH_SECRET,
  database: ORM === 'drizzle' ? drizzleDatabase(DATABASE_URL) : new Pool({ connectionString: DATABASE_URL }),
  emailAndPassword: { enabled: true },
  plugins: [admin()],
  // One address asks for everybody here; in production it would be limited to 100 questions in 10 s.
  rateLimit: { enabled: false },
  ...(REDIS_URL ? { secondaryStorage: redisStorage(new Redis(REDIS_URL)) } : {})
}

export const auth = betterAuth(options)

function redisStorage(redis) {
  return {
    get: key => redis.get(key),
    set: (key, value, ttl) => (ttl ? redis.set(key, value, 'EX', ttl) : redis.set(key, value)),
    delete: key => redis.del(key)
  }
}
