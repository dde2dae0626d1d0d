/**
 * The product as shipped: the built server in a process of its own, configured by environment and gateway.yaml alone,
 * with its log (to a file) and its metrics on.
 */
import { once } from 'node:events'
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../src/data/postgres-cluster.js'
import { failure, type Started, start } from '../processes.js'
import { untilAnswered } from '../ready.js'
import { seedDatabase } from '../seed.js'
import { SECRET } from '../sessions.js'
import type { Stack, StoreName } from '../stack.js'
import type { Gate } from './scenario.js'

const root = join(import.meta.dirname, '../..')
const dist = join(root, 'dist/src')

export type GatewayGate = Gate & Started

/** A gateway on tables that are migrated and seeded first, when its `/readyz` says 200. */
export async function openGateway(
  stack: Stack,
  store: StoreName,
  variables: Readonly<Record<string, string>> = {}
): Promise<GatewayGate> {
  await migrate(stack, store)
  await seedDatabase(stack.databaseUrl(store), 'auth', stack.sessions)
  const gateway = await launchGateway(stack, store, variables)
  await Promise.race([untilAnswered(`${gateway.origin}/readyz`, 200), failure(gateway.child)])
  return gateway
}

/** The tables, empty. */
export async function migrate(stack: Stack, store: StoreName): Promise<void> {
  const command = [process.execPath, join(dist, 'cli/main.js'), 'migrate']
  const { child } = await start({ name: 'migrate', command, env: await environment(stack, store) })
  await Promise.race([once(child, 'exit'), failure(child)])
}

/** The process alone, without waiting for it to serve. Several may share a store: they are nodes of one fleet. */
export async function launchGateway(
  stack: Stack,
  store: StoreName,
  variables: Readonly<Record<string, string>> = {}
): Promise<GatewayGate> {
  const env = { ...(await environment(stack, store)), ...variables }
  const log = join(stack.folder, `${store}-${env.PORT}.log`)
  const command = [...stack.placement.gatePrefix, process.execPath, join(dist, 'server.js')]
  const started = await start({ name: store, command, env, stdoutFile: log })
  return {
    ...started,
    origin: env.BETTER_AUTH_URL,
    pids: [started.pid],
    lookups: () => countLookups(`http://127.0.0.1:${env.OPS_PORT}/metrics`),
    tidy: () => truncate(log)
  }
}

async function environment(stack: Stack, store: StoreName) {
  const [port, opsPort] = [await freePort(), await freePort()]
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

async function countLookups(url: string): Promise<Record<string, number>> {
  const text = await (await fetch(url)).text()
  const counts: Record<string, number> = {}
  for (const [, labels = '', value] of text.matchAll(/^session_gateway_session_lookups_total\{([^}]*)\} (\d+)/gm)) {
    const source = /source="([^"]*)"/.exec(labels)?.[1] ?? 'unknown'
    counts[source] = (counts[source] ?? 0) + Number(value)
  }
  return counts
}
