/**
 * The walk of a proxied request, in order. Every stage is one file with one reason to refuse, and all of
 * them need headers only: they run at `onRequest`, so the body of a refused request is never read.
 */
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { type AuthenticateOptions, authenticate } from './authenticate.js'
import { type AuthorizeOptions, authorize } from './authorize.js'
import { type CheckFingerprintOptions, checkFingerprint } from './check-fingerprint.js'
import { type CheckOriginOptions, checkOrigin } from './check-origin.js'
import { takeAll } from './fallthrough.js'
import { type ForwardOptions, forward } from './forward.js'
import { type LimitRateOptions, limitRate } from './limit-rate.js'
import { type MatchRouteOptions, matchRoute } from './match-route.js'
import { type ReadCredentialOptions, readCredential } from './read-credential.js'
import { type RenewSessionOptions, renewSession } from './renew-session.js'
import { type UpgradeOptions, upgrade } from './upgrade.js'

export interface DecisionOptions
  extends MatchRouteOptions,
    LimitRateOptions,
    ReadCredentialOptions,
    CheckOriginOptions,
    AuthenticateOptions,
    CheckFingerprintOptions,
    RenewSessionOptions,
    AuthorizeOptions {}

export interface GatewayOptions extends DecisionOptions, UpgradeOptions, ForwardOptions {}

export const gateway: FastifyPluginAsync<GatewayOptions> = async (scope, options) => {
  await decide(scope, options)
  await scope.register(upgrade, options)
  await scope.register(forward, options)

  // `forward` answers or fails inside its hook, so that bodies never meet Fastify's parsers.
  takeAll(scope, '/*')
}

/** What every door asks of a request before anything is done for it. */
export async function decide(scope: FastifyInstance, options: DecisionOptions): Promise<void> {
  await scope.register(matchRoute, options)
  await scope.register(readCredential, options)
  await scope.register(checkOrigin, options)
  await scope.register(authenticate, options)
  await scope.register(checkFingerprint, options)
  await scope.register(renewSession, options)
  await scope.register(authorize, options)
  await scope.register(limitRate, options)
}
