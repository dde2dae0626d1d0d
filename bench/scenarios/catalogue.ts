/** Every scenario in the order of the table. Those of one line of thought stand together. */
import { bareUpstream } from './bare-upstream.js'
import { betterAuthGetSession, betterAuthRedis } from './better-auth.js'
import { gatewayAuthOff, gatewayEightyTwenty, gatewayLocal, gatewayRedis, gatewaySql } from './gateway.js'
import { httpProxy } from './http-proxy.js'
import type { Scenario } from './scenario.js'

/** What the ratios refer to; measured beside every other scenario in every round. */
export const reference: Scenario = httpProxy

export const catalogue: readonly Scenario[] = [
  bareUpstream,
  httpProxy,
  gatewayAuthOff,
  gatewayLocal,
  gatewayRedis,
  gatewaySql,
  gatewayEightyTwenty,
  betterAuthRedis,
  betterAuthGetSession
]

/** The named ones and the reference; all when `only` is null. Throws on a name that is not there. */
export function chooseScenarios(only: readonly string[] | null): readonly Scenario[] {
  if (only === null) return catalogue
  const unknown = only.filter(name => !catalogue.some(scenario => scenario.name === name))
  if (unknown.length > 0) {
    throw new Error(`no scenario ${unknown.join(', ')}; there are ${catalogue.map(({ name }) => name).join(', ')}`)
  }
  return catalogue.filter(scenario => scenario === reference || only.includes(scenario.name))
}
