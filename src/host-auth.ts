/** Better Auth in this process (`hosted`), or somewhere else on the same database (`attached`). */
import type { FastifyBaseLogger } from 'fastify'
import { rotationSql } from '../schema/rotation-sql.js'
import type { AppConfig } from './app-config.js'
import { markCauses } from './auth/auth-cause.js'
import type { AuthRoutesOptions } from './auth/auth-routes.js'
import { type Auth, createAuth } from './auth/better-auth.js'
import { EndLater } from './auth/end-later.js'
import { createMailer } from './auth/mail.js'
import { olderSignatures } from './auth/older-signatures.js'
import type { SessionRows } from './auth/honest-revoke.js'
import { createSessionRows } from './auth/session-rows.js'
import { loadSigningKeys } from './auth/signing-keys.js'
import { GuardedSql } from './data/guarded-sql.js'
import { createAuthPool, createLookupPool, POOL_SIZES } from './data/postgres.js'
import type { Metrics } from './edge/metrics.js'
import { whereabouts } from './errors.js'
import type { KeyLoader } from './identity/key-ring.js'
import type { Data } from './open-data.js'
import type { CredentialReader } from './session/credential.js'
import { SessionRenewal } from './session/session-renewal.js'
import { extendSql, slidingExpiry } from './session/sliding-expiry.js'
import { Sweeper } from './session/sweep.js'

export interface AuthHost {
  /** The session cookie's, from Better Auth's own options. */
  readonly cookieName: string
  readonly loadKeys: KeyLoader
  /** Null in attached mode: the other Better Auth renews its sessions, and we have no right to. */
  readonly renewal: SessionRenewal | null
  /** Null in attached mode. */
  readonly routes: ((readCredential: CredentialReader) => AuthRoutesOptions) | null
  readonly close: () => Promise<void>
}

/** When a process is so old, none is left of those it replaced: what it writes, all others can read. */
const ROLLED_OUT_MS = 60 * 60 * 1000

export async function hostAuth(
  config: AppConfig,
  data: Data,
  metrics: Metrics,
  log: FastifyBaseLogger
): Promise<AuthHost> {
  const { env, secrets } = config
  const mailer = createMailer({ env, log })
  const connect = () => markCauses(createAuthPool(config.databaseUrl))
  const auth = await createAuth({ env, secrets, connect, shape: data.shape, mailer, log })
  const cookieName = auth.context.authCookies.sessionToken.name
  const rotation = data.rotation === null ? null : rotationSql(data.shape)
  const rows = createSessionRows(data.lookups, data.shape, rotation)
  const { endLater, stopEnding } = startEnding(
    config.databaseUrl,
    sql => createSessionRows(sql, data.shape, rotation),
    log
  )
  const stopSweeping = env.authMode === 'attached' ? async () => {} : startSweeping(config.databaseUrl, data, log)

  return {
    cookieName,
    loadKeys: () => loadSigningKeys(auth, log, env.authMode === 'hosted' && performance.now() > ROLLED_OUT_MS),
    renewal: env.authMode === 'attached' ? null : renewalOf(config, data, auth),
    routes:
      env.authMode === 'attached'
        ? null
        : readCredential => ({
            env,
            auth,
            rows,
            endLater,
            readCredential,
            secrets,
            olderSignatures: olderSignatures(secrets, cookieName.slice(0, -'session_token'.length)),
            settle: () => data.feed.settle(),
            onEvent: ({ event, outcome }) => metrics.authEvent(event, outcome),
            onLimited: limit => metrics.rateLimited(limit),
            sharedCounter: data.sharedCounter
          }),
    async close() {
      await Promise.all([mailer.close(), auth.close(), stopSweeping(), stopEnding()])
    }
  }
}

function renewalOf({ env, secrets }: AppConfig, { shape, lookups, clock, forget }: Data, { context }: Auth) {
  const expiry = slidingExpiry(env.sessionExpiresInSeconds, env.sessionUpdateAgeSeconds)
  const { sessionToken, dontRememberToken } = context.authCookies
  return new SessionRenewal({
    expiry,
    extend: env.sessionDisableRefresh ? null : { sql: lookups, text: extendSql(shape, expiry) },
    cookies: {
      sessionToken,
      dontRemember: dontRememberToken,
      adminSession: { name: context.createAuthCookie('admin_session').name, attributes: sessionToken.attributes }
    },
    secrets,
    clock: clock.now,
    forget
  })
}

/** On a connection of its own: one locked row, tried again and again, must not open the breaker of the look-ups. */
function startEnding(databaseUrl: string, rowsOn: (sql: GuardedSql) => SessionRows, log: FastifyBaseLogger) {
  const sql = new GuardedSql(() => createLookupPool(databaseUrl, POOL_SIZES.endLater))
  const endLater = new EndLater({
    end: rowsOn(sql).end,
    onEnded: (cause, afterMs) => log.info({ event: 'revocation.late', cause, afterMs: Math.round(afterMs) }),
    onGivenUp: (cause, afterMs) => log.error({ event: 'revocation.given_up', cause, afterMs: Math.round(afterMs) })
  })
  return { endLater, stopEnding: () => endLater.stop().then(() => sql.close()) }
}

/** Attached, the rows are somebody else's to delete, and we have no right to. */
function startSweeping(databaseUrl: string, { shape }: Data, log: FastifyBaseLogger): () => Promise<void> {
  const sql = new GuardedSql(() => createLookupPool(databaseUrl, POOL_SIZES.sweep))
  const sweeper = new Sweeper({
    sql,
    shape,
    onSwept: rows => log.info({ event: 'sweep', ...rows }),
    onFailed: error => log.warn({ event: 'sweep.failed', ...whereabouts((error as Error).cause ?? error) })
  })
  sweeper.start()
  return async () => {
    await sweeper.stop()
    await sql.close()
  }
}
