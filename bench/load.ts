/** The generator as seen from here: one order, one measurement. */
import { once } from 'node:events'
import { join } from 'node:path'
import { failure, start } from './processes.js'

export interface Order {
  readonly url: string
  readonly connections: number
  readonly warmUpSeconds: number
  readonly seconds: number
  /** Cookie headers, shared out among the connections. */
  readonly cookies: readonly string[]
  /** Processes whose time is read: name → pid. */
  readonly watch: Readonly<Record<string, number>>
}

export interface Measurement {
  readonly requests: number
  readonly rps: number
  /** Microseconds, as the generator saw them. */
  readonly p50: number
  readonly p99: number
  /** `usPerRequest`: processor time of all threads; `busy`: share of one core. Absent where the system has no /proc. */
  readonly cpu: Readonly<Record<string, { readonly usPerRequest: number; readonly busy: number }>>
  readonly errors: Readonly<Record<'connection' | 'timeout' | 'status' | 'dropped', number>>
}

export type Generator = (order: Order) => Promise<Measurement>

export async function startGenerator(): Promise<Generator> {
  const command = [process.execPath, join(import.meta.dirname, 'generator.mjs')]
  const { child } = await start({ name: 'generator', command, ipc: true })
  const failed = failure(child)
  return order => {
    const answer = once(child, 'message').then(([message]) => message as Measurement)
    child.send(order)
    return Promise.race([answer, failed])
  }
}

export function errorsOf({ errors }: Measurement): number {
  return errors.connection + errors.timeout + errors.status + errors.dropped
}
