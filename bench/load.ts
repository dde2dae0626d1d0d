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
  /** Processes whose time is read: name → pids, added up. */
  readonly watch: Readonly<Record<string, readonly number[]>>
  /** What every answer must be; default 200. */
  readonly status?: number
  /** Without it the requests are GETs. */
  readonly post?: { readonly bytes: number; readonly headers: Readonly<Record<string, string>> }
}

export interface Measurement {
  readonly requests: number
  readonly rps: number
  /** Microseconds, as the generator saw them. */
  readonly p50: number
  readonly p99: number
  /** `usPerRequest`: processor time of all threads; `busy`: share of one core. Absent where the system has no /proc. */
  readonly cpu: Readonly<Record<string, { readonly usPerRequest: number; readonly busy: number }>>
  /** Answers with another status than wanted, by status. */
  readonly statuses: Readonly<Record<string, number>>
  readonly errors: Readonly<Record<'connection' | 'timeout' | 'status' | 'dropped', number>>
}

export type Generator = (order: Order) => Promise<Measurement>

export async function startGenerator(): Promise<Generator> {
  return startClient<Order, Measurement>('generator')
}

/** One of the load programs beside this file: an order over IPC, one answer to each. */
export async function startClient<Asked extends object, Answer>(
  name: string
): Promise<(order: Asked) => Promise<Answer>> {
  const command = [process.execPath, join(import.meta.dirname, `${name}.mjs`)]
  const { child } = await start({ name, command, ipc: true })
  const failed = failure(child)
  return order => {
    const answer = once(child, 'message').then(([message]) => message as Answer)
    child.send(order)
    return Promise.race([answer, failed])
  }
}

export function errorsOf({ errors }: Measurement): number {
  return errors.connection + errors.timeout + errors.status + errors.dropped
}

/** In words, for the problems of a shape; empty: every request got what it should. */
export function failuresIn(measurements: readonly Measurement[]): string[] {
  const failed = measurements.filter(each => errorsOf(each) > 0)
  return failed.map(each => `failed requests: ${JSON.stringify({ ...each.errors, ...each.statuses })}`)
}
