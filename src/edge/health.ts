/**
 * Alive and ready are two questions. `/livez`: this process answers, so do not restart it, whatever is
 * down around it. `/readyz`: it can do its work, so send it traffic. The public listener answers with a
 * bare word; the private one tells which part is missing.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'

export interface PartHealth {
  readonly ok: boolean
  /** Whether requests should go elsewhere while it is not. */
  readonly needed: boolean
  /** What an operator wants to know; no address and no secret. */
  readonly detail: string
}

export interface Health {
  readonly ready: boolean
  readonly draining: boolean
  readonly parts: Readonly<Record<string, PartHealth>>
}

export type HealthCheck = () => Promise<Health>

/** Many a load balancer asks by HEAD. */
const method = ['GET', 'HEAD']

/** Asked every few seconds by machines: neither logged nor ever refused. */
export function isHealthCheck({ url }: FastifyRequest): boolean {
  return url === '/livez' || url === '/readyz'
}

export function publicHealth(app: FastifyInstance, check: HealthCheck): void {
  app.route({ method, url: '/livez', handler: (_request, reply) => reply.type('text/plain').send('ok') })
  app.route({
    method,
    url: '/readyz',
    handler: async (_request, reply) => {
      const { ready, draining } = await check()
      const word = ready ? 'ok' : draining ? 'draining' : 'unavailable'
      return reply
        .code(ready ? 200 : 503)
        .type('text/plain')
        .send(word)
    }
  })
}

export function privateHealth(app: FastifyInstance, check: HealthCheck): void {
  app.get('/livez', (_request, reply) => reply.type('text/plain').send('ok'))
  app.get('/readyz', async (_request, reply) => {
    const { ready, draining, parts } = await check()
    return reply.code(ready ? 200 : 503).send({ ready, draining, ...parts })
  })
}

/** The parts are asked anew each time: a probe every few seconds costs less than a stale answer. */
export function checkHealthOf(
  parts: Readonly<Record<string, () => Promise<PartHealth>>>,
  isDraining: () => boolean
): HealthCheck {
  return async () => {
    const answers = await Promise.all(Object.entries(parts).map(async ([name, ask]) => [name, await ask()] as const))
    const draining = isDraining()
    return {
      ready: !draining && answers.every(([, { ok, needed }]) => ok || !needed),
      draining,
      parts: Object.fromEntries(answers)
    }
  }
}
