/** The auth routes on a listening server, with a real PostgreSQL below and nothing of the gateway beside them. */
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance, LogController } from 'fastify'
import type { Sql } from 'postgres'
import type { AuthEvent } from '../../src/auth/auth-events.js'
import { authRoutes } from '../../src/auth/auth-routes.js'
import { type Auth, createAuth } from '../../src/auth/better-auth.js'
import { jwksRoutes } from '../../src/auth/jwks-routes.js'
import type { Mailer, MailUser } from '../../src/auth/mail.js'
import { olderSignatures } from '../../src/auth/older-signatures.js'
import { EndLater } from '../../src/auth/end-later.js'
import { createSessionRows } from '../../src/auth/session-rows.js'
import { loadSigningKeys } from '../../src/auth/signing-keys.js'
import { systemClock } from '../../src/clock.js'
import type { AuthSecret, Env } from '../../src/config/env.js'
import { GuardedSql } from '../../src/data/guarded-sql.js'
import { migrate } from '../../src/data/migrate.js'
import { createAuthPool, createLookupPool } from '../../src/data/postgres.js'
import { begin } from '../../src/edge/begin.js'
import { createPeerReader } from '../../src/edge/client-address.js'
import { allowCrossOrigin } from '../../src/edge/cross-origin.js'
import { replyWithErrors, sendError, toGatewayError } from '../../src/edge/error-reply.js'
import type { SharedCounter } from '../../src/edge/limit-store.js'
import { replyHeaders } from '../../src/edge/reply-headers.js'
import { KeyRing } from '../../src/identity/key-ring.js'
import { createCredentialReader } from '../../src/session/credential.js'
import { type CapturingLog, capturingLog } from './log.js'
import type { TestPostgres } from './postgres.js'

type Scope = { teardown: (fn: () => unknown) => unknown }

export interface SentMail {
  readonly kind: 'verification' | 'password-reset' | 'welcome'
  readonly user: MailUser
  readonly url: string
  readonly token: string
}

export interface AuthServer extends CapturingLog {
  readonly url: string
  readonly app: FastifyInstance
  readonly auth: Auth
  readonly sql: Sql
  readonly mails: SentMail[]
  readonly events: AuthEvent[]
  readonly limited: string[]
  /** How often every revocation was applied before an answer left. */
  readonly settled: () => number
}

export interface AuthServerOptions {
  readonly env?: Partial<Env>
  readonly secrets?: readonly AuthSecret[]
  readonly mailer?: Mailer
  readonly sharedCounter?: SharedCounter
  readonly settle?: () => Promise<void>
  readonly budgetMs?: number
  /** Default false, as in a process that has just started. */
  readonly rewriteKeys?: boolean
}

export const APP_ORIGIN = 'https://app.test'
export const SECRET = 'a-secret-of-the-tests-of-more-than-32-characters'

export async function startAuthServer(
  scope: Scope,
  { url: databaseUrl }: Pick<TestPostgres, 'url'>,
  options: AuthServerOptions = {}
): Promise<AuthServer> {
  const env = anEnv(options.env)
  const secrets = options.secrets ?? [{ version: 1, value: SECRET }]
  const captured = capturingLog()
  const sql = createAuthPool(databaseUrl)
  scope.teardown(() => sql.end({ timeout: 0 }))
  const shape = await migrate(sql, { schema: null, mode: 'hosted' }, () => {})
  const guarded = new GuardedSql(() => createLookupPool(databaseUrl, 2))
  scope.teardown(() => guarded.close())

  const mails: SentMail[] = []
  const auth = await createAuth({
    env,
    secrets,
    connect: () => createAuthPool(databaseUrl),
    shape,
    mailer: options.mailer ?? collecting(mails),
    log: captured.log
  })
  scope.teardown(() => auth.close())
  const keyRing = new KeyRing(() => loadSigningKeys(auth, captured.log, options.rewriteKeys ?? false), systemClock)
  await keyRing.start()
  scope.teardown(() => keyRing.stop())

  const { name } = auth.context.authCookies.sessionToken
  const rows = createSessionRows(guarded, shape, null)
  const endLater = new EndLater({ end: rows.end, onEnded: () => {}, onGivenUp: () => {} })
  scope.teardown(() => endLater.stop())
  const [events, limited, settled] = [[] as AuthEvent[], [] as string[], { count: 0 }]

  const app = Fastify({
    loggerInstance: captured.log,
    logController: new LogController({ disableRequestLogging: true }),
    exposeHeadRoutes: false,
    frameworkErrors: (error, request, reply) => sendError(toGatewayError(error), request, reply)
  })
  await app.register(begin, {
    readPeer: createPeerReader(env.trustedProxies),
    isClosing: () => false,
    overload: { admit() {} }
  })
  await app.register(replyHeaders, { https: env.baseUrl.startsWith('https'), isDraining: () => false })
  await allowCrossOrigin(app, env.corsOrigins)
  replyWithErrors(app)
  await app.register(jwksRoutes, { keyRing })
  await app.register(authRoutes, {
    env,
    secrets,
    auth,
    olderSignatures: olderSignatures(secrets, 'better-auth.'),
    readCredential: createCredentialReader({ cookieName: name, secrets, bearerUnsigned: env.bearerUnsigned }),
    rows,
    endLater,
    sharedCounter: options.sharedCounter ?? null,
    settle: async () => {
      await options.settle?.()
      settled.count++
    },
    onEvent: event => events.push(event),
    onLimited: limit => limited.push(limit),
    ...(options.budgetMs !== undefined && { budgetMs: options.budgetMs })
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  scope.teardown(() => app.close())

  return {
    url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`,
    app,
    auth,
    sql,
    mails,
    events,
    limited,
    settled: () => settled.count,
    ...captured
  }
}

function collecting(mails: SentMail[]): Mailer {
  return {
    verification: (user, url) => mails.push({ kind: 'verification', user, url, token: '' }),
    passwordReset: (user, url, token) => mails.push({ kind: 'password-reset', user, url, token }),
    welcome: user => mails.push({ kind: 'welcome', user, url: '', token: '' }),
    close: async () => {}
  }
}

export function anEnv(overrides: Partial<Env> = {}): Env {
  return {
    production: false,
    port: 0,
    host: '127.0.0.1',
    opsPort: 0,
    opsHost: '127.0.0.1',
    databaseUrl: null,
    databaseDirectUrl: null,
    databaseSchema: null,
    databasePoolMax: 10,
    redisUrl: null,
    secrets: [],
    baseUrl: 'http://gw.test',
    authMode: 'hosted',
    corsOrigins: [APP_ORIGIN],
    cookieDomain: null,
    cookieSameSite: 'lax',
    trustedProxies: [],
    sessionCacheTtlSeconds: 300,
    outageMode: 'graceful',
    sessionLocalLeaseMs: 0,
    sessionExpiresInSeconds: 604_800,
    sessionUpdateAgeSeconds: 86_400,
    sessionFreshAgeSeconds: 86_400,
    sessionFingerprint: 'off',
    sessionDisableRefresh: false,
    sessionRotateOnRoleChange: true,
    bearerUnsigned: false,
    emailFrom: 'Gateway <gw@example.com>',
    frontendUrl: null,
    mail: { kind: 'log' },
    requireEmailVerification: false,
    socialProviders: {},
    loginLimitIp: { max: 1_000, windowMs: 60_000 },
    loginLimitAccount: { max: 1_000, windowMs: 900_000 },
    workers: 1,
    logLevel: 'info',
    gatewayFile: null,
    ...overrides
  }
}
