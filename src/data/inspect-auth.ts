/**
 * One look at a database before anything is built on it: is Better Auth here, in which shape, and what is wrong with
 * it.
 */
import type { ISql } from 'postgres'
import { ConfigError } from '../errors.js'
import { readServer, readTables } from './auth-catalog.js'
import { findingsOf, serverFindings } from './auth-findings.js'
import { type AuthShape, recognise, shapeOf } from './auth-shape.js'
import type { AuthMode, Finding } from './finding.js'

export interface InspectOptions {
  /** Null: look in every schema. */
  readonly schema: string | null
  readonly mode: AuthMode
}

export type Inspection =
  | {
      /** No session table of Better Auth anywhere we looked. */
      readonly kind: 'absent'
      /** The database has no table at all. */
      readonly empty: boolean
      readonly problems: readonly Finding[]
      readonly warnings: readonly Finding[]
    }
  | {
      readonly kind: 'found'
      readonly shape: AuthShape
      readonly problems: readonly Finding[]
      readonly warnings: readonly Finding[]
    }

/** Throws ConfigError where two tables, or two columns of one, could be meant. */
export async function inspectAuth(sql: ISql, { schema, mode }: InspectOptions): Promise<Inspection> {
  const [server, tables] = await Promise.all([readServer(sql), readTables(sql, schema)])
  const found = recognise(tables)
  const findings = serverFindings(server)
  if (found !== null) findings.push(...findingsOf(found, { mode, role: server.role }))
  const problems = findings.filter(({ severity }) => severity === 'problem')
  const warnings = findings.filter(({ severity }) => severity === 'warning')
  return found === null
    ? { kind: 'absent', empty: server.tables === 0, problems, warnings }
    : { kind: 'found', shape: shapeOf(found), problems, warnings }
}

/** The shape of a database the gateway can work with. Throws ConfigError with everything that is wrong, and the SQL. */
export async function inspectAuthShape(
  sql: ISql,
  options: InspectOptions,
  onWarning: (warning: Finding) => void = () => {}
): Promise<AuthShape> {
  const inspection = await inspectAuth(sql, options)
  inspection.warnings.forEach(onWarning)
  if (inspection.problems.length > 0) throw new ConfigError(inspection.problems.map(problemOf))
  if (inspection.kind === 'found') return inspection.shape
  const where = options.schema === null ? 'the database' : `the schema "${options.schema}"`
  const message = `${where} has no tables of Better Auth. Create them: npx session-gateway migrate`
  throw new ConfigError([{ place: 'env DATABASE_URL', message }])
}

function problemOf({ place, message, mend }: Finding): { place: string; message: string } {
  return { place, message: mend.length === 0 ? message : `${message} Mend it with:\n  ${mend.join('\n  ')}` }
}
