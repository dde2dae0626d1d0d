/** Every scenario in the order of the table. Those of one line of thought stand together. */
import { bareUpstream } from './bare-upstream.js'
import { betterAuthDrizzle, betterAuthGetSession, betterAuthRedis, httpCall, ttlCache } from './better-auth.js'
import { caddyForwardAuth } from './caddy.js'
import {
  gatewayAuthOff,
  gatewayEightyTwenty,
  gatewayForged,
  gatewayLocal,
  gatewayRedis,
  gatewaySql
} from './gateway.js'
import { gatewayWorkers } from './gateway-workers.js'
import { httpProxy } from './http-proxy.js'
import { nginx, nginxAuthRequest } from './nginx.js'
import type { Scenario } from './scenario.js'

/** What the ratios refer to; measured beside every other scenario in every round. */
export const reference: Scenario = httpProxy

export const catalogue: readonly Scenario[] = [
  bareUpstream,
  nginx,
  httpProxy,
  gatewayAuthOff,
  gatewayLocal,
  gatewayWorkers,
  gatewayRedis,
  gatewaySql,
  gatewayEightyTwenty,
  gatewayForged,
  nginxAuthRequest,
  caddyForwardAuth,
  ttlCache,
  betterAuthRedis,
  betterAuthGetSession,
  betterAuthDrizzle,
  httpCall
]
