/** Processor time of other processes, all threads, user and system. */
import { readFileSync } from 'node:fs'

/** /proc counts in ticks of 1/100 s on every Linux. */
const TICK_US = 10_000

/** Microseconds so far; null where there is no /proc, or no such process. */
export function cpuMicroseconds(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')
    return (Number(fields[11]) + Number(fields[12])) * TICK_US
  } catch {
    return null
  }
}

/** Of several, added up; null where one of them is not known, or there is none. */
export function cpuOfAll(pids) {
  const used = pids.map(cpuMicroseconds)
  return used.length === 0 || used.includes(null) ? null : used.reduce((sum, each) => sum + each, 0)
}
