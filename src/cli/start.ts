/** `session-gateway start`: configuration, what a bare machine lacks, the app, and an orderly end. */
import { parseArgs } from 'node:util'
import { type Logger, destination, pino } from 'pino'
import { type App, createApp } from '../app.js'
import { environment } from '../config/dot-env.js'
import { type Config, loadConfig } from '../config/load-config.js'
import { ConfigError } from '../errors.js'
import { checkRoutes } from '../routes/route-rules.js'
import { startTryIt } from '../try-it.js'
import { welcome } from './banner.js'
import { openLocal } from './local-parts.js'
import { printProblems } from './problems.js'

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
    throw error
  }
}

async function start(config: Config): Promise<void> {
  const { env } = config
  const log = createLog(env.logLevel)
  const local = await openLocal(env, line => console.log(line))
  const tryIt = config.gateway === null ? await startTryIt() : null
  const closeParts = async () => {
    await Promise.all([tryIt?.close(), local.close()])
  }
  try {
    const gateway = config.gateway ?? (tryIt as NonNullable<typeof tryIt>).gateway
    const app = await createApp({ env, gateway, ...local }, log)
    obeySignals(app, closeParts, log)
    await app.listen()
    console.log(welcome(env, tryIt !== null))
  } catch (error) {
    await closeParts()
    throw error
  }
}

/** Lines are gathered and written together: one system call for each would cost more than the rest of the log. */
function createLog(level: string): Logger {
  const stream = destination({ dest: 1, sync: false, minLength: 4096, periodicFlush: 250 })
  process.on('exit', () => {
    try {
      stream.flushSync()
    } catch {
      // Nobody reads stdout any more.
    }
  })
  // A full disk or a closed pipe must not end a gateway: the lines are lost, the requests are not.
  stream.on('error', () => {})
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, stream)
}

function obeySignals(app: App, closeParts: () => Promise<void>, log: Logger): void {
  let ending = false
  const end = (reason: string, exitCode: number) => {
    // The second signal means: now.
    if (ending) process.exit(1)
    ending = true
    log.info({ event: 'shutdown', reason })
    setTimeout(() => process.exit(1), LONGEST_SHUTDOWN_MS).unref()
    app
      .close()
      .then(closeParts)
      .then(
        () => process.exit(exitCode),
        () => process.exit(1)
      )
  }
  process.on('SIGTERM', () => end('SIGTERM', 0))
  process.on('SIGINT', () => end('SIGINT', 0))
  process.on('SIGHUP', () => reload(app, log))
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

/** Frames without the message: messages of drivers carry parameters. */
function whereabouts(error: unknown) {
  const { name, code, stack } = (error ?? {}) as { name?: string; code?: string; stack?: string }
  const frames = String(stack ?? '')
    .split('\n')
    .filter(line => /^\s+at /.test(line))
  return { error: name ?? typeof error, code, frames: frames.map(line => line.trim()) }
}
