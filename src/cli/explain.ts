/** `session-gateway explain GET /api/orders/7 --role user`: which route decides, and why. */
import { parseArgs } from 'node:util'
import { environment } from '../config/dot-env.js'
import { loadConfig } from '../config/load-config.js'
import { explain, type Question } from '../routes/explain.js'
import { hostName, ownHosts } from '../routes/own-hosts.js'
import { checkRoutes } from '../routes/route-rules.js'
import { RouteTable } from '../routes/route-table.js'
import { TRY_IT_ROUTES } from '../try-it.js'

export const help = `Usage: session-gateway explain METHOD URL [options]

Says for every route of gateway.yaml why it does or does not decide about the request. Needs no server.

  --role ROLE       ask as a signed-in user with this role; may be given several times
  --org-role ROLE   with this role in the active organisation
  --host HOST       default: the host of URL, or else of BETTER_AUTH_URL

Without a role the caller is anonymous.`

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { role: { type: 'string', multiple: true }, 'org-role': { type: 'string' }, host: { type: 'string' } }
  })
  const [method, url] = positionals
  if (method === undefined || url === undefined || positionals.length > 2) throw new Error('METHOD and URL are needed.')

  const { env, gateway } = loadConfig(environment(), checkRoutes)
  if (gateway === null) console.log('No gateway.yaml: the routes of try-it mode.')
  const routes = gateway?.routes ?? TRY_IT_ROUTES
  const { authMode } = env
  const rules = { table: RouteTable.compile(routes, { authMode }), answersFor: ownHosts(env, routes), authMode }
  const { host, target } = splitUrl(url)
  const question: Question = {
    method: method.toUpperCase(),
    url: target,
    host: hostName(values.host ?? host ?? new URL(env.baseUrl).hostname),
    caller: callerOf(values.role, values['org-role'])
  }
  console.log(explain(rules, question).join('\n'))
  return 0
}

/** By hand, because a URL parser would mend the very path that is asked about. */
function splitUrl(url: string): { host: string | null; target: string } {
  const [, host, target = '/'] = /^https?:\/\/([^/?#:]+)(?::\d+)?(.*)$/i.exec(url) ?? []
  return host === undefined ? { host: null, target: url } : { host, target: target === '' ? '/' : target }
}

function callerOf(roles: string[] = [], organizationRole: string | undefined): Question['caller'] {
  if (roles.length === 0 && organizationRole === undefined) return null
  return { roles, organizationRole: organizationRole ?? null, emailVerified: true, createdAt: Date.now() }
}
