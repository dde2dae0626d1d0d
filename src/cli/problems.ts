import type { ConfigError } from '../errors.js'

/** sysexits EX_CONFIG: a supervisor need not try again before somebody has changed something. */
const EXIT_CONFIG = 78

/** One line per problem on stderr; answers the exit code. */
export function printProblems({ problems }: ConfigError): number {
  for (const { place, message } of problems) console.error(`${place}: ${message}`)
  console.error(problems.length === 1 ? '1 problem.' : `${problems.length} problems.`)
  return EXIT_CONFIG
}
