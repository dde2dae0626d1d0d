/**
 * Which processor runs what. The gate under test has one to itself; everything else (generator, upstream, database,
 * Redis, this process) shares the others, so that no scenario gains by stealing from its surroundings.
 */
import { execFileSync } from 'node:child_process'

/** From this many cores on, a gate of two processes can have two, and everything else two more. */
export const WIDE_FROM = 4

export interface Placement {
  /** Put in front of a gate's command line; empty where nothing can be pinned. */
  readonly gatePrefix: readonly string[]
  /** For a gate of two processes: two cores, where there are enough. */
  readonly widePrefix: readonly string[]
  /** For the report. */
  readonly description: string
}

/** Moves this process off the gate's core; children inherit that unless they are started with `gatePrefix`. */
export function placeProcesses(): Placement {
  const cores = allowedCores()
  const gateCores = cores.slice(0, cores.length >= WIDE_FROM ? 2 : 1)
  const others = cores.slice(gateCores.length)
  const [gateCore] = gateCores
  if (gateCore === undefined || others.length === 0) {
    return { gatePrefix: [], widePrefix: [], description: 'nothing is pinned: no taskset, or a single core' }
  }
  taskset(['-acp', others.join(','), String(process.pid)])
  return {
    gatePrefix: ['taskset', '-c', String(gateCore)],
    widePrefix: ['taskset', '-c', gateCores.join(',')],
    description: `taskset: the gate on core ${gateCore}; generator, upstream, PostgreSQL and Redis on core ${others.join(', ')}`
  }
}

/** Those this process may use. */
export function allowedCores(): number[] {
  const list =
    taskset(['-cp', String(process.pid)])
      .split(':')
      .at(-1)
      ?.trim() ?? ''
  return list.split(',').flatMap(part => {
    const [first, last = first] = part.split('-').map(Number)
    if (first === undefined || last === undefined || part === '') return []
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
}

function taskset(args: readonly string[]): string {
  try {
    return execFileSync('taskset', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return ''
  }
}
