/** `session-gateway start`: configuration, what a bare machine lacks, the app, and an orderly end. */
import cluster from 'node:cluster'
import { parseArgs } from 'node:util'
import type { Logger } from 'pino'
import { type App, createApp } from '../app.js'
import { environment } from '../config/dot-env.js'
import { type Config, loadConfig } from '../config/load-config.js'
import { ConfigError, whereabouts } from '../errors.js'
import { Opened } from '../opened.js'
import { checkRoutes } from '../routes/route-rules.js'
import { startTryIt, type TryIt } from '../try-it.js'
import { welcome } from './banner.js'
import { tuneGarbageCollection } from './garbage.js'
import { openLocal } from './local-parts.js'
import { createLog } from './log.js'
import { printProblems } from './problems.js'
import { answerFirstProcess, createWorkers } from './workers.js'

export const help = `Usage: session-gateway start

Serves. Without DATABASE_URL it brings an embedded PostgreSQL (data in .data/), without gateway.yaml an upstream to
try things on; neither in production. SIGTERM or Ctrl-C: no new requests, running ones end, exit. SIGHUP: reads
gateway.yaml anew, and keeps the old one if the new one has problems.
Exit code: 1 failed, 78 the configuration has problems.`

/** Longer than a drain may take: then something hangs that should not. */
const LONGEST_SHUTDOWN_MS = 15_000

/** 0 means that it serves; the signals end it. */
export async function run(args: string[]): Promise<number> {
  parseArgs({ args, options: {} })
  try {
    await start(loadConfig(environment(), checkRoutes))
    return 0
  } catch (error) {
    if (error instanceof ConfigError) return printProblems(error)
    console.error(sentenceFor(error as NodeJS.ErrnoException))
    return 1
  }
}

async function start({ env, gateway }: Config): Promise<void> {
  const log = createLog(env.logLevel)
  const opened = new Opened()
  // From here on: a Ctrl-C while it starts must not leave a PostgreSQL behind.
  obeySignals(opened, log)
  try {
    const local = await openLocal(env, line => console.log(line))
    opened.add(local.close)
    if (env.workers > 1 && cluster.isPrimary) {
      const workers = createWorkers(env, local, log)
      opened.add(workers.close)
      process.on('SIGHUP', workers.reload)
      await workers.listen()
      console.log(welcome(env, gateway === null))
      return
    }
    tuneGarbageCollection()
    const tryIt = gateway === null ? await startTryIt() : null
    if (tryIt !== null) opened.add(tryIt.close)
    const app = await createApp({ env, gateway: gateway ?? (tryIt as TryIt).gateway, ...local }, log)
    opened.add(app.close)
    process.on('SIGHUP', () => reload(app, log))
    await app.listen({ publicOnly: cluster.isWorker })
    if (cluster.isWorker) answerFirstProcess(app)
    else console.log(welcome(env, tryIt !== null))
  } catch (error) {
    await opened.close()
    throw error
  }
}

/** The driver's words, and ours where it was asked through a breaker. */
const NO_DATABASE = new Set(['ECONNREFUSED', 'CONNECT_TIMEOUT', 'ENOTFOUND', 'AUTH_SERVICE_UNAVAILABLE'])

/** What to do next, where we know; a driver's own words where we do not. */
function sentenceFor(error: NodeJS.ErrnoException & { port?: number }): string {
  const { code, port } = error
  if (code === 'EADDRINUSE') return `Port ${port} is taken. Set PORT or OPS_PORT, or end what listens there.`
  if (code === 'EACCES') return `Port ${port} needs more rights than this user has. Set PORT to one above 1023.`
  if (NO_DATABASE.has(code ?? '')) {
    return `PostgreSQL does not answer (${code}). Is it running, and does DATABASE_URL name it?`
  }
  return `The gateway could not start: ${code ?? ''} ${error.message}`
}

function obeySignals(opened: Opened, log: Logger): void {
  let ending = false
  const end = (reason: string, exitCode: number) => {
    // The second signal means: now.
    if (ending) process.exit(1)
    ending = true
    log.info({ event: 'shutdown', reason })
    setTimeout(() => process.exit(1), LONGEST_SHUTDOWN_MS).unref()
    opened.close().then(
      () => process.exit(exitCode),
      () => process.exit(1)
    )
  }
  process.on('SIGTERM', () => end('SIGTERM', 0))
  // A terminal's Ctrl-C reaches every process; workers wait for the word of the first one.
  process.on('SIGINT', () => cluster.isWorker || end('SIGINT', 0))
  // Nobody knows what state such an error leaves behind: finish what runs, and let the supervisor start anew.
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      log.fatal({ event, ...whereabouts(error) })
      end(event, 1)
    })
  }
}

function reload(app: App, log: Logger): void {
  try {
    const { gateway } = loadConfig(environment(), checkRoutes)
    if (gateway === null) return
    app.reload(gateway)
    log.info({ event: 'reload', routes: gateway.routes.length })
  } catch (error) {
    const problems = error instanceof ConfigError ? error.problems : whereabouts(error)
    log.error({ event: 'reload', problems }, 'The old gateway.yaml stays in force.')
  }
}
