/**
 * Better Auth, set up for a gateway: its options with the reasons for each, and the few things the rest of
 * the house needs from it. Nothing else touches `betterAuth` itself.
 */
import { randomUUID } from 'node:crypto'
import type { AuthContext, BetterAuthOptions } from 'better-auth'
import { betterAuth } from 'better-auth'
import { APIError, isAPIError } from 'better-auth/api'
import type { FastifyBaseLogger } from 'fastify'
import type { Sql } from 'postgres'
import type { AuthSecret, Env } from '../config/env.js'
import type { AuthShape } from '../data/auth-shape.js'
import { authTables } from '../data/auth-tables.js'
import { ConfigError } from '../errors.js'
import { type AuthDatabase, createAuthDatabase } from './auth-database.js'
import { keepShortSessionsShort, noteOwner, noteUser, refuseIds } from './auth-hooks.js'
import { createAuthLogger } from './auth-log.js'
import { createPlugins } from './auth-plugins.js'
import { noteFailure } from './handling.js'
import type { Mailer } from './mail.js'
import { passwordGate } from './password-gate.js'

export interface AuthOptions {
  readonly env: Env
  /** Newest first; the first one signs. */
  readonly secrets: readonly AuthSecret[]
  /** Opens the pool that is Better Auth's own (R69); again when PostgreSQL has gone silent. */
  readonly connect: () => Sql
  readonly shape: AuthShape
  readonly mailer: Mailer
  readonly log: FastifyBaseLogger
}

const FIFTEEN_MINUTES = 15 * 60
const ONE_HOUR = 60 * 60

export interface Auth {
  /** Rejects when Better Auth itself is broken; never reads anything but the request. */
  readonly handler: (request: Request) => Promise<Response>
  /** Names and attributes of the cookies, the internal adapter, the plugins. */
  readonly context: AuthContext
  /** Closes its pool. */
  readonly close: () => Promise<void>
}

/** Throws when the tables lack what Better Auth needs, so that the start fails and not every request. */
export async function createAuth(options: AuthOptions): Promise<Auth> {
  refuseSideDoor()
  const tables = authTables(options.shape)
  const database = createAuthDatabase(options.connect, tables)
  const auth = betterAuth(betterAuthOptions(options, database, new Set(Object.keys(tables.tables))))
  const context = await auth.$context
  if (options.env.authMode === 'hosted') await context.checkSchema?.()
  return { handler: auth.handler, context, close: database.close }
}

/** Better Auth trusts what stands in this variable besides its options; the origin check and CORS would not know. */
function refuseSideDoor(): void {
  const name = 'BETTER_AUTH_TRUSTED_ORIGINS'
  if (process.env[name]) throw new ConfigError([{ place: `env ${name}`, message: 'is not used: set CORS_ORIGINS.' }])
}

function betterAuthOptions(
  { env, secrets, shape, mailer, log }: AuthOptions,
  database: AuthDatabase,
  models: ReadonlySet<string>
): BetterAuthOptions {
  const { idKind } = shape
  const { production, baseUrl } = env
  return {
    appName: 'session-gateway',
    baseURL: baseUrl,
    basePath: '/api/auth',
    ...secretOptions(secrets),
    trustedOrigins: [...env.corsOrigins],
    database: database.adapter,
    plugins: createPlugins(models, production),
    session: {
      expiresIn: env.sessionExpiresInSeconds,
      updateAge: env.sessionUpdateAgeSeconds,
      freshAge: env.sessionFreshAgeSeconds,
      // A signed copy of the session in the browser outlives its revocation (R43 over R39).
      cookieCache: { enabled: false }
    },
    emailAndPassword: {
      enabled: true,
      requireEmailVerification: env.requireEmailVerification,
      password: passwordGate,
      sendResetPassword: async ({ user, token, url }) => mailer.passwordReset(user, url, token),
      resetPasswordTokenExpiresIn: ONE_HOUR,
      revokeSessionsOnPasswordReset: true
    },
    emailVerification: {
      expiresIn: FIFTEEN_MINUTES,
      sendOnSignUp: true,
      // A link that signs in would sign in whoever opens the mail first, a virus scanner for one.
      autoSignInAfterVerification: false,
      sendVerificationEmail: async ({ user, url }) => mailer.verification(user, url),
      afterEmailVerification: async user => mailer.welcome(user)
    },
    // In 1.7.7 the link for a change of address is bound to nobody and signs in whoever opens it.
    user: { changeEmail: { enabled: false } },
    disabledPaths: ['/change-email'],
    socialProviders: env.socialProviders,
    account: {
      encryptOAuthTokens: true,
      // No provider is trusted by its name alone: an account is linked when the provider says that the e-mail is
      // verified, and only to a user whose own e-mail is verified too (GHSA-g38m-r43w-p2q7).
      accountLinking: { enabled: true, trustedProviders: [], allowDifferentEmails: false }
    },
    verification: { storeIdentifier: 'hashed' },
    // Ours counts across nodes and per account: login-limit.ts.
    rateLimit: { enabled: false },
    advanced: {
      ...cookieOptions(env),
      // Both follow NODE_ENV and TEST unless they are said; either would open the door to forged requests.
      disableOriginCheck: false,
      disableCSRFCheck: false,
      // auth-request.ts writes this header itself.
      ipAddress: { ipAddressHeaders: ['x-forwarded-for'] },
      database: {
        ...(idKind === 'serial' && { generateId: 'serial' as const }),
        // Not 'uuid': that leaves the id to a default of the column, which an existing table may lack.
        ...(idKind === 'uuid' && { generateId: () => randomUUID() }),
        joins: true,
        // Attached, only the tables we read need be there.
        validateSchema: env.authMode === 'hosted',
        // The default of 100 makes revoke-other-sessions leave the rest alive (better-auth#10138).
        defaultFindManyLimit: 100_000
      }
    },
    hooks: { before: refuseIds, after: noteUser },
    databaseHooks: {
      session: {
        update: { before: keepShortSessionsShort(env.sessionExpiresInSeconds) },
        delete: { before: noteOwner }
      }
    },
    onAPIError: { onError: answerUnexpected(log) },
    logger: createAuthLogger(log),
    telemetry: { enabled: false }
  }
}

/**
 * The plain form keeps what is encrypted readable for another Better Auth server with the same secret; the list
 * form writes envelopes with a version and still reads what the oldest secret wrote before there was a list.
 */
function secretOptions(secrets: readonly AuthSecret[]) {
  const [newest] = secrets
  const oldest = secrets.at(-1)
  if (newest === undefined || oldest === undefined) throw new TypeError('Better Auth needs a secret')
  const plain = secrets.length === 1 && newest.version === 1
  return plain ? { secret: newest.value } : { secret: oldest.value, secrets: [...secrets] }
}

function cookieOptions({ baseUrl, cookieDomain, cookieSameSite }: Env) {
  const https = baseUrl.startsWith('https://')
  return {
    useSecureCookies: https,
    defaultCookieAttributes: { sameSite: cookieSameSite, secure: https },
    ...(cookieDomain !== null && { crossSubDomainCookies: { enabled: true, domain: cookieDomain } })
  }
}

/** Left alone, Better Auth prints the error with the query's parameters to stderr and answers without a body. */
function answerUnexpected(log: FastifyBaseLogger) {
  const logger = createAuthLogger(log)
  return (error: unknown) => {
    if (isAPIError(error)) return
    noteFailure(error)
    logger.log?.('error', 'unexpected error', error)
    throw new APIError('INTERNAL_SERVER_ERROR', { code: 'INTERNAL_ERROR', message: 'Something went wrong.' })
  }
}
