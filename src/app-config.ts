/** What an app is made from: the configuration, with everything filled in that a bare machine leaves out. */
import type { AuthSecret, Env } from './config/env.js'
import type { GatewayFile } from './config/gateway-file.js'

export interface AppConfig {
  readonly env: Env
  readonly gateway: GatewayFile
  readonly databaseUrl: string
  /** For what a transaction pooler cannot carry. */
  readonly databaseDirectUrl: string
  /** Newest first, at least one. */
  readonly secrets: readonly AuthSecret[]
}
