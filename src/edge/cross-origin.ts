/**
 * CORS by @fastify/cors, from the same list as the origin check and Better Auth's trustedOrigins (R83).
 * The gateway answers every OPTIONS itself: a preflight carries no credential, so it can never be judged
 * by the route behind it.
 */
import cors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'

const PREFLIGHT_SECONDS = 600

export async function allowCrossOrigin(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  const list = [...origins]
  await app.register(cors, {
    // A list alone would have the plugin tell every origin that credentials are welcome.
    origin: (origin, done) => done(null, origin === undefined || list.includes(origin) ? list : false),
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    exposedHeaders: ['X-Request-ID', 'Retry-After', 'RateLimit', 'RateLimit-Policy', 'set-auth-token'],
    maxAge: PREFLIGHT_SECONDS,
    strictPreflight: false
  })
}
