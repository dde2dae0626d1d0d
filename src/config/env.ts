/** The environment as the program sees it: where things are, and secrets. Names and defaults: docs/configuration.md. */
import { existsSync } from 'node:fs'
import { databaseUrlOf, mailOf, secretsOf, socialProvidersOf } from './env-credentials.js'
import { checkEnv } from './env-rules.js'
import * as values from './env-values.js'
import type { VariableSource } from './variable-source.js'

/** One version of the cookie secret. The first of the list signs; every one that is not retired verifies. */
export interface AuthSecret {
  readonly version: number
  readonly value: string
  /** Leaked: nothing signed by it counts any more; what it encrypted can still be read. */
  readonly retired?: true
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
  readonly outageMode: 'graceful' | 'strict'
  readonly sessionExpiresInSeconds: number
  readonly sessionUpdateAgeSeconds: number
  readonly sessionFreshAgeSeconds: number
  /** What happens when another browser on another network uses a session (R41). */
  readonly sessionFingerprint: 'off' | 'log' | 'revoke'
  readonly sessionDisableRefresh: boolean
  readonly sessionRotateOnRoleChange: boolean
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

/** A revocation may have to wait for it, and must still be answered within five seconds (R64). */
const LONGEST_LEASE_MS = 3000
const DEFAULT_GATEWAY_FILE = 'gateway.yaml'

/** Problems are gathered in `variables`; with any, the result is good for finding more of them, not for use. */
export function readEnv(variables: VariableSource): Env {
  const production = variables.text('NODE_ENV')?.trim() === 'production'
  const listeners = listenersOf(variables)
  const env: Env = {
    production,
    ...listeners,
    ...storesOf(variables),
    secrets: secretsOf(variables),
    baseUrl: variables.read('BETTER_AUTH_URL', values.origin, `http://localhost:${listeners.port}`),
    authMode: variables.read('AUTH_MODE', values.oneOf('hosted', 'attached'), 'hosted'),
    corsOrigins: variables.read('CORS_ORIGINS', values.origins, production ? [] : ['http://localhost:3000']),
    cookieDomain: variables.read('COOKIE_DOMAIN', values.cookieDomain, null),
    cookieSameSite: variables.read('COOKIE_SAME_SITE', values.oneOf('lax', 'strict', 'none'), 'lax'),
    trustedProxies: variables.read('TRUSTED_PROXIES', values.proxies, []),
    ...sessionsOf(variables),
    emailFrom: variables.read('EMAIL_FROM', values.sender, 'session-gateway <no-reply@localhost>'),
    frontendUrl: variables.read('FRONTEND_URL', values.webUrl, null),
    mail: mailOf(variables),
    requireEmailVerification: variables.read('REQUIRE_EMAIL_VERIFICATION', values.flag, production),
    socialProviders: socialProvidersOf(variables),
    loginLimitIp: variables.read('LOGIN_RATE_LIMIT_IP', values.rateLimit, { max: 5, windowMs: 60_000 }),
    loginLimitAccount: variables.read('LOGIN_RATE_LIMIT_ACCOUNT', values.rateLimit, { max: 10, windowMs: 900_000 }),
    workers: variables.read('WORKERS', values.workers, 1),
    logLevel: variables.read('LOG_LEVEL', values.logLevel, 'info'),
    gatewayFile: variables.read(
      'GATEWAY_CONFIG',
      values.text,
      existsSync(DEFAULT_GATEWAY_FILE) ? DEFAULT_GATEWAY_FILE : null
    )
  }
  checkEnv(env, variables)
  return env
}

function listenersOf(variables: VariableSource) {
  return {
    port: variables.read('PORT', values.integer(0, 65535), 8080),
    host: variables.read('HOST', values.hostName, '127.0.0.1'),
    opsPort: variables.read('OPS_PORT', values.integer(0, 65535), 9090),
    opsHost: variables.read('OPS_HOST', values.hostName, '127.0.0.1')
  }
}

function storesOf(variables: VariableSource) {
  const databaseUrl = databaseUrlOf(variables)
  return {
    databaseUrl,
    databaseDirectUrl: variables.read('DATABASE_DIRECT_URL', values.postgresUrl, databaseUrl),
    databaseSchema: variables.read('DATABASE_SCHEMA', values.identifier, null),
    databasePoolMax: variables.read('DATABASE_POOL_MAX', values.integer(1, 1000), 10),
    redisUrl: variables.read('REDIS_URL', values.redisUrl, null)
  }
}

function sessionsOf(variables: VariableSource) {
  return {
    sessionCacheTtlSeconds: variables.read('SESSION_CACHE_TTL', values.duration(1000, 1), 300),
    sessionLocalLeaseMs: variables.read('SESSION_LOCAL_LEASE', values.duration(1, 0, LONGEST_LEASE_MS), 1000),
    outageMode: variables.read('OUTAGE_MODE', values.oneOf('graceful', 'strict'), 'graceful'),
    sessionExpiresInSeconds: variables.read('SESSION_EXPIRES_IN', values.duration(1000, 1), 604_800),
    sessionUpdateAgeSeconds: variables.read('SESSION_UPDATE_AGE', values.duration(1000, 0), 86_400),
    sessionFreshAgeSeconds: variables.read('SESSION_FRESH_AGE', values.duration(1000, 0), 86_400),
    sessionDisableRefresh: variables.read('SESSION_DISABLE_REFRESH', values.flag, false),
    sessionRotateOnRoleChange: variables.read('SESSION_ROTATE_ON_ROLE_CHANGE', values.flag, true),
    sessionFingerprint: variables.read('SESSION_FINGERPRINT', values.oneOf('off', 'log', 'revoke'), 'off'),
    bearerUnsigned: variables.read('BEARER_UNSIGNED', values.flag, false)
  }
}
