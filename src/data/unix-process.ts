/** What Node does not say about processes that are not its children. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

const POLL_MS = 10

/** Null where it cannot be told. An orphan's is the system's first process, never the one that started it. */
export async function parentOf(pid: number): Promise<number | null> {
  if (process.platform === 'linux') return Number((await statOf(pid))[1]) || null
  const listed = await run('ps', ['-o', 'ppid=', '-p', String(pid)]).catch(() => null)
  return Number(listed?.stdout) || null
}

/** State and parent of a process, then the rest; empty for one that is gone. Linux only. */
async function statOf(pid: number): Promise<string[]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return stat === '' ? [] : stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** In a container nobody may collect the dead: a zombie has ended. */
export async function isAlive(pid: number): Promise<boolean> {
  if (process.platform === 'linux') return !['Z', 'X', undefined].includes((await statOf(pid))[0])
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

export async function ended(pid: number, boundMs: number): Promise<boolean> {
  const deadline = performance.now() + boundMs
  while (await isAlive(pid)) {
    if (performance.now() > deadline) return false
    await sleep(POLL_MS)
  }
  return true
}

/** False when there is no such process. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}
