/** gateway.yaml as written: what is routed, and to whom it is open. */

export interface UpstreamConfig {
  readonly name: string
  /** Origins, `http://orders-1:8000`; no path, no credentials. */
  readonly targets: readonly string[]
  readonly internalKey: string | null
  /** Audience of X-Gateway-Assertion; null: none is sent. */
  readonly audience: string | null
  readonly connectTimeoutMs: number
  readonly headersTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly retries: number
  readonly health: { readonly path: string; readonly intervalMs: number } | null
  /** Bytes; null: no limit, always streamed. */
  readonly maxBodyBytes: number | null
}

export type AccessConfig =
  | 'public'
  | 'optional'
  | 'session'
  | {
      readonly roles?: readonly string[]
      readonly organizationRoles?: readonly string[]
      readonly emailVerified?: true
      readonly freshMs?: number
    }

export interface RouteConfig {
  readonly name: string
  /** As written: `/api/orders/*` or an exact `/health`. */
  readonly path: string
  /** Upper case; null: all. */
  readonly methods: readonly string[] | null
  readonly host: string | null
  readonly upstream: string
  /** Prefix cut off before forwarding, `/api`; null: none. */
  readonly stripPrefix: string | null
  readonly access: AccessConfig
  readonly consistency: 'cached' | 'strict'
  readonly originCheck: boolean
  readonly redirectToPortal: boolean
  readonly rateLimit: { readonly max: number; readonly windowMs: number; readonly by: 'user' | 'ip' } | null
}

/** One entry of `tests:`; run by `session-gateway check`. */
export interface RouteTest {
  readonly method: string
  readonly path: string
  readonly host: string | null
  readonly as:
    | 'anonymous'
    | { readonly roles: readonly string[]; readonly organizationRole?: string; readonly emailVerified?: boolean }
  /** A status, or the name of the upstream (or route) that must be reached. */
  readonly expect: number | string
}

export interface GatewayFile {
  readonly upstreams: readonly UpstreamConfig[]
  readonly routes: readonly RouteConfig[]
  readonly tests: readonly RouteTest[]
  /** `gateway.yaml:12:5 routes[1].access` for a path into the document. */
  readonly placeOf: (path: readonly (string | number)[]) => string
}
