/** The gateway as a process of its own, started as a user starts it, in an empty folder. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../src/data/postgres-cluster.js'
import { built } from './built.js'

const START_DEADLINE_MS = 60_000

export interface GatewayProcess {
  readonly child: ChildProcess
  readonly port: number
  readonly opsPort: number
  readonly origin: string
  readonly stdout: () => string
  readonly stderr: () => string
  /** Resolves with the exit code when it has ended. */
  readonly ended: Promise<number | null>
  signal: (name: NodeJS.Signals) => void
}

type Scope = { teardown: (fn: () => unknown) => unknown }

/** Nothing of this process's environment but PATH and HOME: a variable set by chance must not decide a test. */
export async function spawnGateway(
  t: Scope,
  cwd: string,
  env: Readonly<Record<string, string>> = {}
): Promise<GatewayProcess> {
  const [port, opsPort] = [await freePort(), await freePort()]
  const child = spawn(process.execPath, [join(await built, 'server.js')], {
    cwd,
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      PORT: String(port),
      OPS_PORT: String(opsPort),
      ...env
    },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', chunk => (stdout += chunk))
  child.stderr.on('data', chunk => (stderr += chunk))
  const ended = once(child, 'exit').then(([code]) => code as number | null)
  t.teardown(async () => {
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), 12_000)
    await ended
    clearTimeout(late)
  })
  const origin = `http://localhost:${port}`
  const signal = (name: NodeJS.Signals) => void child.kill(name)
  return { child, port, opsPort, origin, ended, signal, stdout: () => stdout, stderr: () => stderr }
}

/** Until it says that it is up. */
export async function isUp(gateway: GatewayProcess): Promise<void> {
  await until(
    () => gateway.stdout().includes('is up.'),
    () => `it did not start:\n${gateway.stdout()}${gateway.stderr()}`,
    gateway
  )
}

export async function until(
  holds: () => boolean | Promise<boolean>,
  orElse: () => string,
  { child }: Pick<GatewayProcess, 'child'>
): Promise<void> {
  const end = performance.now() + START_DEADLINE_MS
  while (!(await holds())) {
    if (child.exitCode !== null || performance.now() > end) throw new Error(orElse())
    await sleep(20)
  }
}
