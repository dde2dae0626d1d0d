/** The environment as the program sees it: where things are, and secrets. Names and defaults: docs/configuration.md. */

/** One version of the cookie secret. The first of the list signs; every one that is not retired verifies. */
export interface AuthSecret {
  readonly version: number
  readonly value: string
}

export interface SocialProvider {
  readonly clientId: string
  readonly clientSecret: string
}

export type MailTransport =
  | { readonly kind: 'resend'; readonly apiKey: string }
  | { readonly kind: 'smtp'; readonly url: string }
  /** Links go to the log; outside production only. */
  | { readonly kind: 'log' }

/** `max` requests per `windowMs`. */
export interface RateLimit {
  readonly max: number
  readonly windowMs: number
}

export interface Env {
  readonly production: boolean
  readonly port: number
  readonly host: string
  readonly opsPort: number
  readonly opsHost: string
  /** Null: the embedded PostgreSQL (never in production). */
  readonly databaseUrl: string | null
  /** Session-mode connection for LISTEN and migrations; null with the embedded one. */
  readonly databaseDirectUrl: string | null
  /** Null: found by inspection. */
  readonly databaseSchema: string | null
  readonly databasePoolMax: number
  readonly redisUrl: string | null
  /** Newest first. Empty: generate one in `.data/` (never in production). */
  readonly secrets: readonly AuthSecret[]
  /** Origin without a trailing slash, `https://gw.example.com`. */
  readonly baseUrl: string
  readonly authMode: 'hosted' | 'attached'
  /** Exact origins, lower case, no trailing slash. One list for CORS, trustedOrigins and the origin check. */
  readonly corsOrigins: readonly string[]
  readonly cookieDomain: string | null
  readonly cookieSameSite: 'lax' | 'strict' | 'none'
  /** CIDRs or addresses whose X-Forwarded-* are believed. */
  readonly trustedProxies: readonly string[]
  readonly sessionCacheTtlSeconds: number
  readonly sessionLocalLeaseMs: number
  readonly sessionExpiresInSeconds: number
  readonly sessionUpdateAgeSeconds: number
  readonly sessionFreshAgeSeconds: number
  readonly bearerUnsigned: boolean
  readonly emailFrom: string
  readonly frontendUrl: string | null
  readonly mail: MailTransport
  readonly requireEmailVerification: boolean
  readonly socialProviders: Readonly<Partial<Record<'google' | 'github' | 'microsoft', SocialProvider>>>
  readonly loginLimitIp: RateLimit
  readonly loginLimitAccount: RateLimit
  readonly workers: number
  readonly logLevel: string
  /** Path of gateway.yaml; null when none is there: try-it mode. */
  readonly gatewayFile: string | null
}
