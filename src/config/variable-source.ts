/** Reads variables one by one and gathers what is wrong with them. A message never contains a value. */
import { readFileSync } from 'node:fs'
import type { z } from 'zod'
import type { ConfigProblem } from '../errors.js'
import { VARIABLES, type VariableName } from './variables.js'

const SECRETS = new Set<string>(VARIABLES.filter(({ secret }) => secret).map(({ name }) => name))

export class VariableSource {
  readonly problems: ConfigProblem[] = []
  readonly #source: NodeJS.ProcessEnv
  readonly #files = new Map<string, string | null>()

  constructor(source: NodeJS.ProcessEnv) {
    this.#source = source
  }

  problem(name: string, message: string): void {
    this.problems.push({ place: `env ${name}`, message })
  }

  /** `because`: who needs it. */
  require(name: VariableName, because: string): void {
    if (!this.isSet(name)) this.problem(name, `is missing: ${because}`)
  }

  isSet(name: VariableName): boolean {
    return this.#plain(name) !== null || (SECRETS.has(name) && this.#plain(`${name}_FILE`) !== null)
  }

  /** Whether something is wrong with it already. */
  isBlamed(name: VariableName): boolean {
    return this.problems.some(({ place }) => place === `env ${name}`)
  }

  /** NAME or, for a secret, what the file NAME_FILE contains. Null when neither is set; empty counts as not set. */
  text(name: VariableName): string | null {
    return SECRETS.has(name) ? this.secret(name) : this.#plain(name)
  }

  /** The same for a name of the user's own, `${NAME}` in gateway.yaml. */
  secret(name: string): string | null {
    const value = this.#plain(name)
    const file = this.#plain(`${name}_FILE`)
    if (file === null) return value
    if (!this.#files.has(name)) this.#files.set(name, this.#readOnce(name, file, value))
    return this.#files.get(name) ?? null
  }

  /** `fallback` when it is not set, and after a problem so that all others are found too. */
  read<T>(name: VariableName, schema: z.ZodType<T, string>, fallback: T): T {
    const text = this.text(name)
    if (text === null) return fallback
    const { success, data, error } = schema.safeParse(text)
    if (success) return data
    for (const { message } of error.issues) this.problem(name, message)
    return fallback
  }

  #plain(name: string): string | null {
    const value = this.#source[name]
    return value === undefined || value.trim() === '' ? null : value
  }

  #readOnce(name: string, file: string, value: string | null): string | null {
    if (value !== null) {
      this.problem(name, `is set, and so is ${name}_FILE: keep one of them`)
      return value
    }
    try {
      // An editor ends a file with a line feed; it is not part of the secret.
      const content = readFileSync(file, 'utf8').replace(/\r?\n$/, '')
      if (content !== '') return content
      this.problem(`${name}_FILE`, 'names an empty file')
    } catch (error) {
      this.problem(`${name}_FILE`, `names a file that cannot be read (${(error as NodeJS.ErrnoException).code})`)
    }
    return null
  }
}
