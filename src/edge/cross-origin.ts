/**
 * CORS by @fastify/cors, from the same list as the origin check and Better Auth's trustedOrigins (R83).
 * The gateway answers every preflight itself: it carries no credential, so it can never be judged by the route behind
 * it. Any other OPTIONS is a request like all others.
 */
import cors, { type FastifyCorsOptions } from '@fastify/cors'
import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False: this door gives judgements, not answers to browsers. */
    readonly cors?: false
  }
}

const PREFLIGHT_SECONDS = 600

/**
 * Requests without an Origin, and those are most, pass the plugin by: its hook would cost them 2 % of their time
 * (2026-11-21) to be told nothing they can use.
 */
export async function allowCrossOrigin(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  const list = [...origins]
  const onlyWithOrigin = Object.create(app, {
    addHook: { value: (_name: 'onRequest', hook: onRequestHookHandler) => app.addHook('onRequest', judge(list, hook)) },
    // The plugin's route of its own for every OPTIONS would stand before ours.
    options: { value: () => app }
  }) as FastifyInstance
  const delegator = (request: FastifyRequest, done: (error: null, options: FastifyCorsOptions) => void) =>
    done(null, optionsFor(request, list))
  await new Promise<void>((resolve, reject) => {
    void cors(onlyWithOrigin, { delegator }, error => (error === undefined ? resolve() : reject(error)))
  })
}

function judge(list: readonly string[], hook: onRequestHookHandler): onRequestHookHandler {
  return function handleCors(request, reply, done) {
    const { origin } = request.headers
    if (origin === undefined || request.routeOptions.config.cors === false) return done()
    if (list.includes(origin) || !isPreflight(request)) return hook.call(this, request, reply, done)
    // Without the headers it asks for, the browser goes no further.
    reply.code(204).header('vary', 'Origin').send()
  }
}

/** Of a request with an Origin: https://fetch.spec.whatwg.org/#cors-preflight-request */
function isPreflight({ method, headers }: FastifyRequest): boolean {
  return method === 'OPTIONS' && 'access-control-request-method' in headers
}

function optionsFor(request: FastifyRequest, list: string[]): FastifyCorsOptions {
  return {
    // A list alone would have the plugin tell every origin that credentials are welcome.
    origin: list.includes(request.headers.origin ?? '') ? list : false,
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    exposedHeaders: ['X-Request-ID', 'Retry-After', 'RateLimit', 'RateLimit-Policy', 'set-auth-token'],
    maxAge: PREFLIGHT_SECONDS,
    preflight: isPreflight(request)
  }
}
