/**
 * WORKERS > 1: several gateways on one machine behind one port. This process, the first, holds what there is
 * once (the embedded PostgreSQL, the secret, the private listener) and keeps the others alive; it serves no
 * request of the public itself. Workers learn what was made here by their environment.
 */
import cluster, { type Worker } from 'node:cluster'
import { on, once } from 'node:events'
import type { Logger } from 'pino'
import { AggregatorRegistry } from 'prom-client'
import type { App } from '../app.js'
import type { Env } from '../config/env.js'
import type { Health } from '../edge/health.js'
import { createPrivateListener } from '../private-listener.js'
import type { LocalParts } from './local-parts.js'

export interface Workers {
  listen: () => Promise<void>
  /** Every worker drains; resolves when all are gone. */
  close: () => Promise<void>
  /** Tells every worker to read gateway.yaml anew. */
  reload: () => void
}

/** A worker that dies as soon as it is born must not keep a core busy. */
const REBIRTH_MS = 1_000
const HEALTH_MS = 1_000
const HEALTH_QUESTION = 'session-gateway:health?'
const HEALTH_ANSWER = 'session-gateway:health'

interface HealthAnswer {
  readonly type: typeof HEALTH_ANSWER
  readonly health: Health
}

export function createWorkers(env: Env, local: LocalParts, log: Logger): Workers {
  let closing = false
  const variables = inherited(env, local)
  const metrics = new AggregatorRegistry()
  const privateListener = createPrivateListener({
    log,
    checkHealth: () => healthOfAll(closing),
    metrics: { contentType: metrics.contentType, scrape: () => metrics.clusterMetrics() }
  })

  function keepAlive(worker: Worker): void {
    worker.once('exit', exitCode => {
      if (closing) return
      log.error({ event: 'worker.exit', worker: worker.id, exitCode })
      setTimeout(() => closing || keepAlive(cluster.fork(variables)), REBIRTH_MS)
    })
  }

  return {
    async listen() {
      const first = Array.from({ length: env.workers }, () => cluster.fork(variables))
      await Promise.all(first.map(listening))
      first.forEach(keepAlive)
      await privateListener.listen({ port: env.opsPort, host: env.opsHost })
    },
    async close() {
      closing = true
      await Promise.all(living().map(end))
      await privateListener.close()
    },
    reload() {
      for (const worker of living()) worker.process.kill('SIGHUP')
    }
  }
}

/** In a worker: answers the first process when it asks. */
export function answerFirstProcess(app: App): void {
  process.on('message', message => {
    if (message !== HEALTH_QUESTION) return
    void app.checkHealth().then(health => {
      const answer: HealthAnswer = { type: HEALTH_ANSWER, health }
      process.send?.(answer)
    })
  })
}

/** Only what was made here: everything else a worker reads as this process did. */
function inherited(env: Env, { databaseUrl, secrets }: LocalParts): Record<string, string> {
  return {
    ...(env.databaseUrl === null && { DATABASE_URL: databaseUrl }),
    ...(env.secrets.length === 0 && { BETTER_AUTH_SECRET: secrets[0]?.value ?? '' })
  }
}

/** The worker has said on stderr why it could not. */
async function listening(worker: Worker): Promise<void> {
  const failed = once(worker, 'exit').then(([exitCode]) => {
    throw new Error(`a worker ended with exit code ${exitCode}`)
  })
  await Promise.race([once(worker, 'listening'), failed])
  failed.catch(() => {})
}

function living(): Worker[] {
  return Object.values(cluster.workers ?? {}).filter(worker => worker !== undefined)
}

async function end(worker: Worker): Promise<void> {
  const gone = once(worker, 'exit')
  worker.process.kill('SIGTERM')
  await gone
}

/** Ready when every worker is: a balancer sees one port, and any of them may get the connection. */
async function healthOfAll(draining: boolean): Promise<Health> {
  const asked = living()
  const answers = await Promise.all(asked.map(healthOf))
  const answering = answers.filter(health => health !== null)
  const ids = asked.filter((_worker, i) => answers[i] !== null).map(({ id }) => id)
  const all = answering.length > 0 && answering.length === asked.length
  const workers = { ok: all, needed: true, detail: `answering: ${ids.join(', ') || 'none'}` }
  return {
    ready: !draining && all && answering.every(({ ready }) => ready),
    draining,
    parts: { workers, ...partsOf(answering) }
  }
}

/** A part is well when it is in every worker; what it says, each wording once. */
function partsOf(healths: readonly Health[]): Health['parts'] {
  const names = new Set(healths.flatMap(({ parts }) => Object.keys(parts)))
  return Object.fromEntries(
    [...names].map(name => {
      const parts = healths.flatMap(health => health.parts[name] ?? [])
      const detail = [...new Set(parts.map(part => part.detail))].join('; ')
      return [name, { ok: parts.every(({ ok }) => ok), needed: parts.some(({ needed }) => needed), detail }]
    })
  )
}

/** Null: not in time. A scrape's answers come over the same channel. */
async function healthOf(worker: Worker): Promise<Health | null> {
  try {
    const messages = on(worker, 'message', { signal: AbortSignal.timeout(HEALTH_MS) })
    worker.send(HEALTH_QUESTION)
    for await (const [message] of messages) if (isHealthAnswer(message)) return message.health
    return null
  } catch {
    return null
  }
}

function isHealthAnswer(message: unknown): message is HealthAnswer {
  return typeof message === 'object' && message !== null && 'type' in message && message.type === HEALTH_ANSWER
}
