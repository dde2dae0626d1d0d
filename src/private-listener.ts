/** The private listener: what operators and Prometheus ask. It must not be reachable from outside. */
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import { type HealthCheck, privateHealth } from './edge/health.js'
import type { Metrics } from './edge/metrics.js'

export interface PrivateListenerOptions {
  readonly log: FastifyBaseLogger
  readonly checkHealth: HealthCheck
  readonly metrics: Pick<Metrics, 'contentType' | 'scrape'>
}

export function createPrivateListener({ log, checkHealth, metrics }: PrivateListenerOptions): FastifyInstance {
  const app = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true
  })
  privateHealth(app, checkHealth)
  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.scrape()))
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).type('text/plain').send('Nothing here. There are /livez, /readyz and /metrics.\n')
  )
  return app
}
