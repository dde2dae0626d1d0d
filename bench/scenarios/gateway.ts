/** session-gateway under the loads it is made for. */
import type { Stack } from '../stack.js'
import { openGateway } from './open-gateway.js'
import type { Gate, Scenario } from './scenario.js'

export const gatewayAuthOff: Scenario = {
  name: 'gateway-auth-off',
  what: 'session-gateway, public route: the proxy alone',
  path: '/public/orders/7',
  guarded: false,
  source: 'none',
  open: openRemembering
}

export const gatewayLocal: Scenario = {
  name: 'gateway-local',
  what: 'session-gateway, sessions in its own memory, as shipped',
  path: '/cached/orders/7',
  guarded: true,
  source: 'local',
  open: openRemembering
}

export const gatewayRedis: Scenario = {
  name: 'gateway-redis',
  what: 'session-gateway, Redis asked for every request',
  path: '/cached/orders/7',
  guarded: true,
  source: 'redis',
  open: openForgetting
}

export const gatewaySql: Scenario = {
  name: 'gateway-sql',
  what: 'session-gateway, consistency: strict, PostgreSQL asked for every request',
  path: '/strict/orders/7',
  guarded: true,
  source: 'postgres',
  open: openForgetting
}

export const gatewayEightyTwenty: Scenario = {
  name: 'gateway-80-20',
  what: 'session-gateway as shipped, 10,000 sessions, a fifth of them making four fifths of the requests',
  path: '/cached/orders/7',
  guarded: true,
  source: null,
  traffic: 'eighty-twenty',
  open: openRemembering
}

export const gatewayForged: Scenario = {
  name: 'gateway-forged',
  what: 'session-gateway refusing cookies with a wrong signature: 401, without asking anybody',
  path: '/cached/orders/7',
  guarded: true,
  source: 'none',
  traffic: 'forged',
  status: 401,
  onlyInFull: true,
  open: openRemembering
}

/** As in production one gate for several routes. */
function openRemembering(stack: Stack): Promise<Gate> {
  return openGateway(stack, 'gateway')
}

/** Without its own memory each request goes where the scenario says. */
function openForgetting(stack: Stack): Promise<Gate> {
  return openGateway(stack, 'gateway_shared', { SESSION_LOCAL_LEASE: '0' })
}
