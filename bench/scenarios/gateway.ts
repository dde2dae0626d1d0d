/**
 * The product as shipped: the built server in a process of its own, configured by environment and gateway.yaml alone,
 * with its log (to a file) and its metrics on.
 */
import { once } from 'node:events'
import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../src/data/postgres-cluster.js'
import { buildGateway } from '../peers.js'
import { failure, start } from '../processes.js'
import { seedDatabase } from '../seed.js'
import { SECRET } from '../sessions.js'
import type { Stack, StoreName } from '../stack.js'
import type { Gate, Scenario } from './scenario.js'

const root = join(import.meta.dirname, '../..')
const dist = join(root, 'dist/src')
const READY_WITHIN_MS = 20_000

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

/** As in production one gate for several routes. */
function openRemembering(stack: Stack): Promise<Gate> {
  return openGateway(stack, 'gateway', {})
}

/** Without its own memory each request goes where the scenario says. */
function openForgetting(stack: Stack): Promise<Gate> {
  return openGateway(stack, 'gateway_shared', { SESSION_LOCAL_LEASE: '0' })
}

async function openGateway(stack: Stack, store: StoreName, variables: Record<string, string>): Promise<Gate> {
  buildGateway(root)
  const [port, opsPort] = [await freePort(), await freePort()]
  const env = { ...(await environment(stack, store, port, opsPort)), ...variables }
  const migration = await start({
    name: 'migrate',
    command: [process.execPath, join(dist, 'cli/main.js'), 'migrate'],
    env
  })
  await Promise.race([once(migration.child, 'exit'), failure(migration.child)])
  await seedDatabase(stack.databaseUrl(store), 'auth', stack.sessions)

  const log = join(stack.folder, `${store}.log`)
  const command = [...stack.placement.gatePrefix, process.execPath, ...(await shippedFlags()), join(dist, 'server.js')]
  const { child, pid } = await start({ name: store, command, env, stdoutFile: log })
  await Promise.race([ready(`http://127.0.0.1:${port}/readyz`), failure(child)])
  return {
    origin: `http://127.0.0.1:${port}`,
    pid,
    lookups: () => countLookups(`http://127.0.0.1:${opsPort}/metrics`),
    tidy: () => truncate(log)
  }
}

/** Those of Node that `npm start` gives. */
async function shippedFlags(): Promise<string[]> {
  const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { scripts: { start: string } }
  return scripts.start.split(' ').filter(word => word.startsWith('--'))
}

async function environment(
  stack: Stack,
  store: StoreName,
  port: number,
  opsPort: number
): Promise<Record<string, string>> {
  const file = join(stack.folder, 'gateway.yaml')
  await writeFile(file, gatewayYaml(stack.upstream.url))
  return {
    PORT: String(port),
    OPS_PORT: String(opsPort),
    DATABASE_URL: stack.databaseUrl(store),
    DATABASE_SCHEMA: 'auth',
    REDIS_URL: stack.redisUrl(store),
    BETTER_AUTH_SECRET: SECRET,
    BETTER_AUTH_URL: `http://127.0.0.1:${port}`,
    ALLOW_HTTP: '1',
    REQUIRE_EMAIL_VERIFICATION: '0',
    GATEWAY_CONFIG: file
  }
}

function gatewayYaml(upstream: string): string {
  return `upstreams:
  orders:
    targets: [${upstream}]
    internalKey: the-internal-key-of-the-benchmark
routes:
  - { name: public, path: /public/*, upstream: orders, stripPrefix: /public, access: public }
  - { name: cached, path: /cached/*, upstream: orders, stripPrefix: /cached, access: session }
  - { name: strict, path: /strict/*, upstream: orders, stripPrefix: /strict, access: session, consistency: strict }
`
}

async function ready(url: string): Promise<void> {
  const deadline = performance.now() + READY_WITHIN_MS
  while (performance.now() < deadline) {
    const response = await fetch(url).catch(() => null)
    if (response?.status === 200) return
    await sleep(50)
  }
  throw new Error(`the gateway is not ready after ${READY_WITHIN_MS} ms`)
}

async function countLookups(url: string): Promise<Record<string, number>> {
  const text = await (await fetch(url)).text()
  const counts: Record<string, number> = {}
  for (const [, labels = '', value] of text.matchAll(/^session_gateway_session_lookups_total\{([^}]*)\} (\d+)/gm)) {
    const source = /source="([^"]*)"/.exec(labels)?.[1] ?? 'unknown'
    counts[source] = (counts[source] ?? 0) + Number(value)
  }
  return counts
}
