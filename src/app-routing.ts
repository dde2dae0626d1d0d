/** gateway.yaml in force: the compiled routes, and the upstreams they lead to. */
import type { Env } from './config/env.js'
import type { GatewayFile } from './config/gateway-file.js'
import { ConfigError } from './errors.js'
import { type AnswersFor, ownHosts } from './routes/own-hosts.js'
import { type Route, RouteTable } from './routes/route-table.js'
import type { Upstream } from './upstream/upstream-pool.js'
import type { Upstreams } from './upstream/upstreams.js'

export interface Routing {
  readonly gateway: GatewayFile
  readonly table: RouteTable
  readonly answersFor: AnswersFor
  readonly upstreams: Upstreams
  readonly upstreamOf: (route: Route) => Upstream
}

/** The table is compiled first: if it has problems, the upstreams stay as they are. */
export function createRouting(gateway: GatewayFile, env: Env, canSign: boolean, upstreams: Upstreams): Routing {
  const { placeOf } = gateway
  if (!canSign) refuseAudiences(gateway)
  const table = RouteTable.compile(gateway.routes, { authMode: env.authMode, placeOf })
  upstreams.replace(gateway.upstreams)
  const byName = new Map(gateway.upstreams.map(({ name }) => [name, upstreams.get(name)]))
  return {
    gateway,
    table,
    answersFor: ownHosts(env, gateway.routes),
    upstreams,
    upstreamOf: route => byName.get(route.upstream) ?? upstreams.get(route.upstream)
  }
}

/** An assertion that can never be signed would make every request to that upstream a 503. */
function refuseAudiences({ upstreams, placeOf }: GatewayFile): void {
  const message = "needs the jwks table of Better Auth's jwt plugin, which this database does not have"
  const problems = upstreams
    .filter(({ audience }) => audience !== null)
    .map(({ name }) => ({ place: placeOf(['upstreams', name, 'audience']), message }))
  if (problems.length > 0) throw new ConfigError(problems)
}
