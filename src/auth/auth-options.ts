/** Better Auth's options for a gateway, with the reason for each that is not its default. */
import { randomUUID } from 'node:crypto'
import type { BetterAuthOptions } from 'better-auth'
import { APIError, isAPIError } from 'better-auth/api'
import type { FastifyBaseLogger } from 'fastify'
import type { Sql } from 'postgres'
import type { AuthSecret, Env } from '../config/env.js'
import { AUTH_MOUNT } from '../config/own-paths.js'
import type { AuthShape } from '../data/auth-shape.js'
import type { AuthDatabase } from './auth-database.js'
import { keepShortSessionsShort, noteEnding, noteUser, refuseIds } from './auth-hooks.js'
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

export function betterAuthOptions(
  { env, secrets, shape, mailer, log }: AuthOptions,
  database: AuthDatabase,
  models: ReadonlySet<string>
): BetterAuthOptions {
  return {
    appName: 'session-gateway',
    baseURL: env.baseUrl,
    basePath: AUTH_MOUNT,
    ...secretOptions(secrets),
    trustedOrigins: [...env.corsOrigins],
    database: database.adapter,
    plugins: createPlugins(models, env.production),
    session: {
      expiresIn: env.sessionExpiresInSeconds,
      updateAge: env.sessionUpdateAgeSeconds,
      freshAge: env.sessionFreshAgeSeconds,
      disableSessionRefresh: env.sessionDisableRefresh,
      // A signed copy of the session in the browser outlives its revocation (R43 over R39).
      cookieCache: { enabled: false }
    },
    ...mailOptions(env, mailer),
    ...accountOptions(env),
    // Left alone it deletes what has expired at every look-up, on the way of the request; session/sweep.ts does it.
    verification: { storeIdentifier: 'hashed', disableCleanup: true },
    // Ours counts across nodes and per account: login-limit.ts.
    rateLimit: { enabled: false },
    advanced: advancedOptions(env, shape),
    hooks: { before: refuseIds, after: noteUser },
    databaseHooks: {
      session: {
        update: { before: keepShortSessionsShort(env.sessionExpiresInSeconds) },
        delete: { before: noteEnding }
      }
    },
    onAPIError: { onError: answerUnexpected(log) },
    logger: createAuthLogger(log),
    telemetry: { enabled: false }
  }
}

function mailOptions(env: Env, mailer: Mailer) {
  return {
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
    }
  } satisfies BetterAuthOptions
}

function accountOptions({ socialProviders }: Env) {
  return {
    // In 1.7.7 the link for a change of address is bound to nobody and signs in whoever opens it.
    user: { changeEmail: { enabled: false } },
    disabledPaths: ['/change-email'],
    socialProviders,
    account: {
      encryptOAuthTokens: true,
      // No provider is trusted by its name alone: an account is linked when the provider says that the e-mail is
      // verified, and only to a user whose own e-mail is verified too (GHSA-g38m-r43w-p2q7).
      accountLinking: { enabled: true, trustedProviders: [], allowDifferentEmails: false }
    }
  } satisfies BetterAuthOptions
}

function advancedOptions(env: Env, { idKind }: AuthShape) {
  return {
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
  } satisfies BetterAuthOptions['advanced']
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
  if (plain) return { secret: newest.value }
  // Retired ones as well: they sign nothing any more, and what they encrypted must stay readable.
  return { secret: oldest.value, secrets: secrets.map(({ version, value }) => ({ version, value })) }
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
