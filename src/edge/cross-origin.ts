/**
 * CORS by @fastify/cors, from the same list as the origin check and Better Auth's trustedOrigins (R83).
 * The gateway answers every OPTIONS itself: a preflight carries no credential, so it can never be judged
 * by the route behind it.
 */
import cors, { type FastifyCorsOptions } from '@fastify/cors'
import type { FastifyInstance, onRequestHookHandler } from 'fastify'

const PREFLIGHT_SECONDS = 600

/**
 * Requests without an Origin, and those are most, pass the plugin by: its hook would cost them 2 % of their time
 * (2026-11-21) to be told nothing they can use.
 */
export async function allowCrossOrigin(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  const list = [...origins]
  const onlyWithOrigin = Object.create(app, {
    addHook: { value: (_name: 'onRequest', hook: onRequestHookHandler) => app.addHook('onRequest', whereOrigin(hook)) }
  }) as FastifyInstance
  await new Promise<void>((resolve, reject) => {
    void cors(onlyWithOrigin, options(list), error => (error === undefined ? resolve() : reject(error)))
  })
}

function whereOrigin(hook: onRequestHookHandler): onRequestHookHandler {
  return function handleCors(request, reply, done) {
    const { origin } = request.headers
    if (origin === undefined && request.method !== 'OPTIONS') return done()
    return hook.call(this, request, reply, done)
  }
}

function options(list: string[]): FastifyCorsOptions {
  return {
    // A list alone would have the plugin tell every origin that credentials are welcome.
    origin: (origin, done) => done(null, origin === undefined || list.includes(origin) ? list : false),
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    exposedHeaders: ['X-Request-ID', 'Retry-After', 'RateLimit', 'RateLimit-Policy', 'set-auth-token'],
    maxAge: PREFLIGHT_SECONDS,
    strictPreflight: false
  }
}
