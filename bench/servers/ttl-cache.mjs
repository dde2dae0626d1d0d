/**
 * The cache everybody writes first: what `getSession` said about a cookie is kept in Redis for five minutes. Fast, and
 * a sign-out is in force when the five minutes are over.
 */
import { fromNodeHeaders } from 'better-auth/node'
import { Redis } from 'ioredis'
import { auth } from './better-auth-options.mjs'
import { serveGuarded } from './guarded-proxy.mjs'

const TTL_SECONDS = 300
const redis = new Redis(process.env.CACHE_URL)

await serveGuarded(async ({ headers }) => {
  const key = `cache:${headers.cookie ?? ''}`
  const known = await redis.get(key)
  if (known !== null) return JSON.parse(known)
  const found = await auth.api.getSession({ headers: fromNodeHeaders(headers) })
  if (found === null) return null
  await redis.set(key, JSON.stringify(found.user), 'EX', TTL_SECONDS)
  return found.user
})
