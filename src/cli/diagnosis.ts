/** One line of `session-gateway doctor`. */
import { withDeadline } from '../clock.js'

export type Level = 'ok' | 'warn' | 'fail'

export interface Diagnosis {
  /** warn: it works, and could be better or safer. fail: it does not work, or a promise does not hold. */
  readonly level: Level
  /** `postgres`, `triggers`, `upstream orders`. */
  readonly about: string
  /** No password and no secret, whoever wrote the sentence. */
  readonly message: string
  /** SQL or commands, in order; empty where none helps. */
  readonly mend: readonly string[]
}

export function ok(about: string, message: string): Diagnosis {
  return { level: 'ok', about, message, mend: [] }
}

export function warn(about: string, message: string, ...mend: readonly string[]): Diagnosis {
  return { level: 'warn', about, message, mend }
}

export function fail(about: string, message: string, ...mend: readonly string[]): Diagnosis {
  return { level: 'fail', about, message, mend }
}

/** Rejects after that time. What goes on behind it ends with the connection it uses. */
export function within<T>(ms: number, work: PromiseLike<T>): Promise<T> {
  return withDeadline(ms, work, () => Object.assign(new Error(`no answer within ${ms} ms`), { code: 'TIMEOUT' }))
}

/** A driver's own words; `fetch` hides them in `cause`. */
export function wordsOf(error: unknown): string {
  const { code, message, cause } = (error ?? {}) as { code?: string; message?: string; cause?: unknown }
  if (cause !== undefined) return wordsOf(cause)
  return [code, message === code ? undefined : message].filter(part => part !== undefined && part !== '').join(', ')
}
