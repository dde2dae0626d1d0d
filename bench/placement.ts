/**
 * Which processor runs what. The gate under test has one to itself; everything else (generator, upstream, database,
 * Redis, this process) shares the others, so that no scenario gains by stealing from its surroundings.
 */
import { execFileSync } from 'node:child_process'

export interface Placement {
  /** Put in front of a gate's command line; empty where nothing can be pinned. */
  readonly gatePrefix: readonly string[]
  /** For the report. */
  readonly description: string
}

/** Moves this process off the gate's core; children inherit that unless they are started with `gatePrefix`. */
export function placeProcesses(): Placement {
  const cores = allowedCores()
  const [gateCore, ...others] = cores
  if (gateCore === undefined || others.length === 0) {
    return { gatePrefix: [], description: 'nothing is pinned: no taskset, or a single core' }
  }
  taskset(['-acp', others.join(','), String(process.pid)])
  return {
    gatePrefix: ['taskset', '-c', String(gateCore)],
    description: `taskset: the gate on core ${gateCore}; generator, upstream, PostgreSQL and Redis on core ${others.join(', ')}`
  }
}

function allowedCores(): number[] {
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
