/** Environment and gateway.yaml, read once into one frozen object, or all their problems at once. */
import { readFileSync } from 'node:fs'
import { ConfigError, type ConfigProblem } from '../errors.js'
import { type Env, readEnv } from './env.js'
import { type GatewayFile, parseGatewayFile } from './gateway-file.js'
import { VariableSource } from './variable-source.js'

export interface Config {
  readonly env: Env
  /** Null: try-it mode. */
  readonly gateway: GatewayFile | null
}

/** What the rooms above find wrong with a file that reads well. They are asked even if there are problems already. */
export type GatewayCheck = (gateway: GatewayFile, env: Env) => readonly ConfigProblem[]

/** Reads files, changes nothing. Throws ConfigError. */
export function loadConfig(source: NodeJS.ProcessEnv, checkGateway: GatewayCheck): Config {
  const variables = new VariableSource(source)
  const env = readEnv(variables)
  const text = env.gatewayFile === null ? null : readGatewayFile(env.gatewayFile, variables)
  const { gateway, problems } =
    env.gatewayFile === null || text === null
      ? { gateway: null, problems: [] }
      : parseGatewayFile(text, { file: env.gatewayFile, variable: name => variables.secret(name) })

  const found = gateway === null ? [] : checkGateway(gateway, env)
  const all = [...variables.problems, ...problems, ...found]
  if (all.length > 0) throw new ConfigError(all)
  return deepFreeze({ env, gateway })
}

function readGatewayFile(file: string, variables: VariableSource): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    variables.problem('GATEWAY_CONFIG', `names ${file}, which cannot be read (${code})`)
    return null
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  for (const part of Object.values(value)) deepFreeze(part)
  return Object.freeze(value)
}
