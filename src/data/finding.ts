import type { CatalogTable } from './auth-catalog.js'

/** hosted: Better Auth runs here and writes; attached: it runs elsewhere and we read. */
export type AuthMode = 'hosted' | 'attached'

export interface Finding {
  readonly severity: 'problem' | 'warning'
  /** `table auth.session`. */
  readonly place: string
  readonly message: string
  /** Empty where SQL cannot help. */
  readonly mend: readonly string[]
  /** Nothing that is there changes: safe to run without asking. */
  readonly additive: boolean
}

export interface Asked {
  readonly mode: AuthMode
  readonly role: string
}

export function problem(place: string, message: string, mend: readonly string[], additive = true): Finding {
  return { severity: 'problem', place, message, mend, additive }
}

export function placeOf({ schema, name }: CatalogTable): string {
  return `table ${schema}.${name}`
}
