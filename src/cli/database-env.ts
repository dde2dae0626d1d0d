/**
 * The environment of a command that works on the database and serves nothing: what `start` wants besides is not asked
 * for.
 */
import { environment } from '../config/dot-env.js'
import { type Env, readEnv } from '../config/env.js'
import { VariableSource } from '../config/variable-source.js'
import { ConfigError } from '../errors.js'

const PARTS = { database: /^env (DATABASE_|DB_|AUTH_MODE)/, secret: /^env BETTER_AUTH_SECRET/ }

/** Throws ConfigError with the problems of the named parts only. */
export function databaseEnv(...besides: readonly 'secret'[]): Env {
  const variables = new VariableSource(environment())
  const env = readEnv(variables)
  const patterns = [PARTS.database, ...besides.map(part => PARTS[part])]
  const problems = variables.problems.filter(({ place }) => patterns.some(pattern => pattern.test(place)))
  if (problems.length > 0) throw new ConfigError(problems)
  return env
}
