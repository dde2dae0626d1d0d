/**
 * Every process the benchmark starts, and the one way they end: by their own pid, newest first, also on Ctrl-C and
 * when the time is up. Children get a bare environment, so that a DATABASE_URL of the user's shell reaches nobody.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const KILL_AFTER_MS = 5_000

export interface StartOptions {
  readonly name: string
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** File for stdout, opened for appending: it can be emptied while the process runs. */
  readonly stdoutFile?: string
  /** Whether the process reports `{ port }` over IPC. */
  readonly ipc?: boolean
}

export interface Started {
  readonly child: ChildProcess
  readonly pid: number
  /** For what is not needed until the end. */
  readonly stop: () => Promise<void>
}

const stops: (() => Promise<void>)[] = []

/** `stop` runs at the end of the benchmark, however it ends. */
export function onEnd(stop: () => Promise<void>): void {
  stops.push(stop)
}

export async function stopAll(): Promise<void> {
  for (let stop = stops.pop(); stop !== undefined; stop = stops.pop()) {
    await stop().catch((error: unknown) => console.error(`while stopping: ${String(error)}`))
  }
}

export async function start(options: StartOptions): Promise<Started> {
  const [file = '', ...args] = options.command
  const out = options.stdoutFile === undefined ? 'ignore' : openSync(options.stdoutFile, 'a')
  const child = spawn(file, args, {
    env: bareEnvironment(options.env),
    stdio: options.ipc === true ? ['ignore', out, 'pipe', 'ipc'] : ['ignore', out, 'pipe']
  })
  if (typeof out === 'number') closeSync(out)
  onEnd(() => stop(child))
  let complaint = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-2_000)
  })
  child.once('exit', code => {
    // Whoever waits for a port or a readiness answer learns why it never comes.
    if (code !== 0 && code !== null)
      child.emit('failed', new Error(`${options.name} ended with ${code}: ${complaint.trim()}`))
  })
  await once(child, 'spawn')
  return { child, pid: child.pid as number, stop: () => stop(child) }
}

/** The port a server of `servers/` reports when it listens. */
export async function reportedPort({ child }: Started): Promise<number> {
  const port = once(child, 'message').then(([message]) => (message as { port: number }).port)
  return Promise.race([port, failure(child)])
}

/** Rejects when the process ends by itself with an error. Never resolves. */
export function failure(child: ChildProcess): Promise<never> {
  return new Promise((_, reject) => child.once('failed', reject))
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const late = Symbol('late')
  if ((await Promise.race([exited, sleep(KILL_AFTER_MS, late, { ref: false })])) === late) child.kill('SIGKILL')
  await exited
}

function bareEnvironment(env: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'LANG'].flatMap(name => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value]]
  })
  return { ...Object.fromEntries(kept), NODE_ENV: 'production', ...env }
}
