/** `${NAME}` in strings: the one bridge from the environment into gateway.yaml. */
import type { DocumentPath } from './yaml-document.js'

const REFERENCE = /\$\{([^}]*)\}/g
const NAME = /^[A-Za-z_]\w*$/

export interface InterpolateOptions {
  /** Null: not set. */
  readonly variable: (name: string) => string | null
  readonly report: (path: DocumentPath, message: string) => void
}

/** A copy of `value` with every reference replaced, at any depth. Messages name variables, never their values. */
export function interpolate(value: unknown, path: DocumentPath, options: InterpolateOptions): unknown {
  if (typeof value === 'string') return replaceAll(value, path, options)
  if (Array.isArray(value)) return value.map((item, index) => interpolate(item, [...path, index], options))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, interpolate(item, [...path, key], options)])
  )
}

function replaceAll(text: string, path: DocumentPath, { variable, report }: InterpolateOptions): string {
  return text.replace(REFERENCE, (reference, name: string) => {
    const value = NAME.test(name) ? variable(name) : null
    if (value !== null) return value
    report(path, NAME.test(name) ? `\${${name}} is not set in the environment` : `'${reference}' must be \${NAME}`)
    return reference
  })
}
