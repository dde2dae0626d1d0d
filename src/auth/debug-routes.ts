/**
 * `/api/auth/debug`: how this gateway is set up and what it makes of the caller's credential. Development only (R16).
 */
import type { FastifyInstance } from 'fastify'
import type { Env } from '../config/env.js'
import { AUTH_MOUNT } from '../config/own-paths.js'
import type { CredentialReader } from '../session/credential.js'
import type { Auth } from './better-auth.js'

export interface DebugOptions {
  readonly env: Env
  readonly auth: Auth
  readonly readCredential: CredentialReader
}

export function debugRoute(scope: FastifyInstance, { env, auth, readCredential }: DebugOptions): void {
  // In production nothing is registered: the path is as unknown as all others.
  if (env.production) return
  const { authCookies, options, version } = auth.context
  const { name, attributes } = authCookies.sessionToken
  const { httpOnly, secure, sameSite, domain, path, maxAge } = attributes

  scope.get(`${AUTH_MOUNT}/debug`, async (request, reply) => {
    const credential = readCredential(request.raw)
    void reply.header('cache-control', 'no-store')
    return {
      betterAuth: version,
      baseUrl: env.baseUrl,
      trustedOrigins: auth.context.trustedOrigins,
      sessionCookie: { name, httpOnly, secure, sameSite, domain, path, maxAge },
      session: {
        expiresIn: env.sessionExpiresInSeconds,
        updateAge: env.sessionUpdateAgeSeconds,
        freshAge: env.sessionFreshAgeSeconds
      },
      plugins: (options.plugins ?? []).map(({ id }) => id),
      socialProviders: Object.keys(env.socialProviders),
      mail: env.mail.kind,
      requireEmailVerification: env.requireEmailVerification,
      you: {
        address: request.exchange.clientAddress,
        credential: credential.kind,
        ...(credential.kind !== 'none' && { offeredAs: credential.source })
      }
    }
  })
}
