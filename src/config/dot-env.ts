/** The variables of the process, and below them those of a `.env` file in the working directory. */
import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'

/** A variable that is set already keeps its value. Nothing is written back to `process.env`. */
export function environment(processEnv: NodeJS.ProcessEnv = process.env, file = '.env'): NodeJS.ProcessEnv {
  try {
    return { ...parseEnv(readFileSync(file, 'utf8')), ...processEnv }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return processEnv
    throw error
  }
}
