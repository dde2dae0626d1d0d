/** All routes, compiled: longest path wins, then host, then method. */
import type { Access } from './access.js'

/** What the table is asked. `path` is canonical and carries no query; `host` is lower case without a port. */
export interface Target {
  readonly method: string
  readonly host: string
  readonly path: string
}

export interface Route {
  readonly name: string
  readonly path: string
  readonly methods: readonly string[] | null
  readonly host: string | null
  readonly access: Access
  readonly upstream: string
  readonly stripPrefix: string | null
  readonly consistency: 'cached' | 'strict'
  readonly originCheck: boolean
  readonly redirectToPortal: boolean
  readonly rateLimit: { readonly max: number; readonly windowMs: number; readonly by: 'user' | 'ip' } | null
}

export type Match =
  | { readonly kind: 'route'; readonly route: Route }
  | { readonly kind: 'method'; readonly allow: readonly string[] }
  | { readonly kind: 'none' }
