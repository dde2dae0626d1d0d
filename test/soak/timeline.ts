/** When which fault was in force, and what follows from it for the times of the invariant. All times performance.now(). */

import type { Sql } from 'postgres'
import type { Fault } from './faults.js'

/** What a change by SQL is in force after, whatever fails, as long as a node reaches PostgreSQL (docs/revocation.md). */
export const SQL_BOUND_MS = 3_000
/** Until breakers, listeners and pools have found back: longest pauses between their tries are 5 s. */
export const RECOVERY_MS = 6_000
/** Below this a timer or a statement was merely late; above it the machine stood still, and the gateways with it. */
const STALL_MS = 250
const LOOK_MS = 50
/** What a stall holds up is over so long after it. */
const STALL_ECHO_MS = 2_000

export interface FaultPeriod extends Omit<Fault, 'run'> {
  readonly from: number
  /** Infinity while it lasts. */
  to: number
}

export class Timeline {
  readonly faults: FaultPeriod[] = []
  readonly startedAt = performance.now()
  readonly #stalls: { readonly from: number; readonly to: number }[] = []
  #timer: NodeJS.Timeout | null = null

  begin(fault: Omit<Fault, 'run'>): FaultPeriod {
    const period = { ...fault, from: performance.now(), to: Number.POSITIVE_INFINITY }
    this.faults.push(period)
    return period
  }

  get current(): FaultPeriod | null {
    const last = this.faults.at(-1)
    return last?.to === Number.POSITIVE_INFINITY ? last : null
  }

  /** From when on a change by SQL that had been committed by then must be in force; Infinity while no one can say. */
  inForceAfter(committedAt: number): number {
    let due = committedAt + SQL_BOUND_MS
    for (const { hidesPostgres, from, to } of this.faults) {
      if (hidesPostgres === true && from <= due && to >= committedAt)
        due = Math.max(due, to + RECOVERY_MS + SQL_BOUND_MS)
    }
    return due
  }

  /** Whether no fault had anything to do with what began and ended then. */
  isHealthy(from: number, to: number): boolean {
    return !this.faults.some(fault => fault.from <= to && fault.to + RECOVERY_MS >= from)
  }

  /** Whether the machine gave nobody a processor then. */
  isStall(from: number, to: number): boolean {
    return this.#stalls.some(stall => stall.from <= to && stall.to + STALL_ECHO_MS >= from)
  }

  /** `4:07.3`, minutes and seconds since the start. */
  clock(time = performance.now()): string {
    const seconds = (time - this.startedAt) / 1_000
    return `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, '0')}`
  }

  /** How often without a fault. */
  get stalls(): number {
    return this.#stalls.filter(({ from, to }) => this.isHealthy(from, to)).length
  }

  /** By a timer and by the simplest statement there is: whoever gets neither in time blames no gateway for being late. */
  watchMachine(sql: Sql): void {
    let [last, isAsking] = [performance.now(), false]
    const note = (from: number, to: number) => to - from > LOOK_MS + STALL_MS && this.#stalls.push({ from, to })
    const ask = async () => {
      isAsking = true
      const from = performance.now()
      // Without an answer it was not in time either.
      await sql`select 1`.catch(() => {})
      note(from, performance.now())
      isAsking = false
    }
    this.#timer = setInterval(() => {
      note(last, performance.now())
      last = performance.now()
      if (!isAsking) void ask()
    }, LOOK_MS)
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }
}
