/** What a scenario is: a gate that is started, a path through it, and what must be true before it is measured. */
import type { Traffic } from '../sessions.js'
import type { Stack } from '../stack.js'

export interface Gate {
  readonly origin: string
  /** Whose processor time is charged to the request, together; none where there is no gate. */
  readonly pids: readonly number[]
  /** Session look-ups so far by source, where the gate keeps count. */
  readonly lookups: (() => Promise<Readonly<Record<string, number>>>) | null
  /** Between two measurements: empties the log. */
  readonly tidy: () => Promise<void>
}

export interface Scenario {
  readonly name: string
  /** One line for the reader of the table. */
  readonly what: string
  readonly path: string
  /** Strangers are refused with 401 and the upstream learns the user's id. */
  readonly guarded: boolean
  /** Where nearly all look-ups must come from; `none`: there must be none; null: the gate does not say. */
  readonly source: 'local' | 'redis' | 'postgres' | 'none' | null
  /** Default: a thousand sessions in turn. */
  readonly traffic?: Traffic
  /** What every measured request is answered; default 200. */
  readonly status?: number
  /** Left out of `--quick`. */
  readonly onlyInFull?: true
  /** What this machine lacks to run it, with the way to get it; null: nothing. */
  readonly lacks?: () => string | null
  /** Scenarios that name the same function share one gate. */
  readonly open: (stack: Stack) => Promise<Gate>
}

/** A gate that keeps neither log nor count. */
export function plainGate(port: number, ...pids: readonly number[]): Gate {
  return { origin: `http://127.0.0.1:${port}`, pids, lookups: null, tidy: async () => undefined }
}
