/** `session-gateway check`: everything `start` would refuse, and the `tests:` of gateway.yaml, without a server. */
import { parseArgs } from 'node:util'
import { environment } from '../config/dot-env.js'
import type { GatewayFile, RouteTest } from '../config/gateway-file.js'
import { type Config, loadConfig } from '../config/load-config.js'
import { describeAccess } from '../routes/access.js'
import { type Decision, decide } from '../routes/explain.js'
import { ownHosts } from '../routes/own-hosts.js'
import { checkRoutes } from '../routes/route-rules.js'
import { type Route, RouteTable } from '../routes/route-table.js'

export const help = `Usage: session-gateway check

Loads the environment and gateway.yaml as 'start' does, prints every problem with its place, and holds the
routes to the tests in the file. Asks no database, Redis or upstream.
Exit code: 0 fine, 1 a test fails, 78 the configuration has problems.`

export async function run(args: string[]): Promise<number> {
  parseArgs({ args, options: {} })
  const { env, gateway } = loadConfig(environment(), checkRoutes)
  console.log(summaryOf(env))
  if (gateway === null) {
    console.log('No gateway.yaml: try-it mode.')
    return 0
  }
  const table = RouteTable.compile(gateway.routes, { authMode: env.authMode })
  console.log(table.routes.map(lineOf).join('\n'))

  const failures = failuresOf(gateway, table, env)
  for (const failure of failures) console.error(failure)
  console.log(`${gateway.tests.length - failures.length} of ${gateway.tests.length} tests pass.`)
  return failures.length === 0 ? 0 : 1
}

function summaryOf(env: Config['env']): string {
  const { production, baseUrl, host, port, opsHost, opsPort, authMode, databaseUrl, redisUrl } = env
  return [
    `${baseUrl}${production ? ', production' : ''}; public ${host}:${port}, private ${opsHost}:${opsPort}`,
    `Better Auth ${authMode}; PostgreSQL ${databaseUrl === null ? 'embedded' : 'given'}; Redis ${redisUrl === null ? 'none' : 'given'}`
  ].join('\n')
}

function lineOf({ name, path, methods, host, upstream, access }: Route): string {
  return `  ${name}: ${methods?.join(' ') ?? 'any method'} ${host ?? ''}${path} -> ${upstream}, ${describeAccess(access)}`
}

function failuresOf({ routes, tests, placeOf }: GatewayFile, table: RouteTable, env: Config['env']): string[] {
  const rules = { table, answersFor: ownHosts(env, routes), authMode: env.authMode }
  return tests.flatMap((test, index) => {
    const decision = decide(rules, questionOf(test, new URL(env.baseUrl).hostname))
    if (meets(decision, test.expect)) return []
    return [
      `${placeOf(['tests', index])}: ${test.method} ${test.path}: expected ${test.expect}, got ${wordsOf(decision)}`
    ]
  })
}

function questionOf({ method, path, host, as }: RouteTest, ownHost: string) {
  const caller =
    as === 'anonymous'
      ? null
      : {
          roles: as.roles,
          organizationRole: as.organizationRole ?? null,
          emailVerified: as.emailVerified ?? true,
          createdAt: Date.now()
        }
  return { method, url: path, host: host ?? ownHost, caller }
}

/** 200 stands for being let through: what the upstream would answer is nobody's guess here. */
function meets(decision: Decision, expected: number | string): boolean {
  if (decision.kind === 'refused') return decision.status === expected
  if (expected === 200) return true
  return decision.kind === 'route' && (decision.route.upstream === expected || decision.route.name === expected)
}

function wordsOf(decision: Decision): string {
  if (decision.kind === 'refused') return `${decision.status} ${decision.code}`
  return decision.kind === 'own' ? 'the gateway itself' : `${decision.route.upstream} by route ${decision.route.name}`
}
