/** What a list of routes must keep to before a table is made of it. All problems at once, each with its place. */
import type { Env } from '../config/env.js'
import type { GatewayFile, RouteConfig } from '../config/gateway-file.js'
import { AUTH_MOUNT, OWN_PATHS } from '../config/own-paths.js'
import type { ConfigProblem } from '../errors.js'
import { canonicalPath } from './canonical-path.js'

export interface RouteRuleOptions {
  /** Attached: Better Auth runs elsewhere, so `/api/auth/*` may be a route. */
  readonly authMode?: Env['authMode']
  readonly placeOf?: GatewayFile['placeOf']
}

/** Whether the gateway answers there itself: no route is ever asked. */
export function isOwnPath(path: string, authMode: Env['authMode'] = 'hosted'): boolean {
  return OWN_PATHS.some(own => isAtOrBelow(path, own)) || (authMode === 'hosted' && isAtOrBelow(path, AUTH_MOUNT))
}

export function isAtOrBelow(path: string, base: string): boolean {
  return path.startsWith(base) && (path.length === base.length || path[base.length] === '/')
}

/** Without the final `/*`; empty for `/*` itself. */
export function basePath(path: string): string {
  return path.endsWith('/*') ? path.slice(0, -2) : path
}

/** The `GatewayCheck` of this room. */
export function checkRoutes({ routes, placeOf }: GatewayFile, { authMode }: Pick<Env, 'authMode'>): ConfigProblem[] {
  return routeProblems(routes, { authMode, placeOf })
}

export function routeProblems(routes: readonly RouteConfig[], options: RouteRuleOptions = {}): ConfigProblem[] {
  const placeOf = options.placeOf ?? (path => path.join('.'))
  return routes.flatMap((route, index) => {
    const problems = [
      ['path', pathProblem(route.path) ?? ownPathProblem(route.path, options.authMode)],
      ['stripPrefix', stripProblem(route)],
      ['path', overlapProblem(route, routes.slice(0, index))]
    ] as const
    return problems.flatMap(([key, message]) =>
      message === null ? [] : [{ place: placeOf(['routes', index, key]), message }]
    )
  })
}

function pathProblem(path: string): string | null {
  if (!path.startsWith('/')) return "must start with '/'"
  const base = basePath(path)
  if (base.includes('*')) return "may contain '*' only as a last segment of its own, '/*'"
  if (base.includes('/:')) return "has no parameters: write '/*' for what is variable, it must be the last segment"
  if (base !== path && base.endsWith('/')) return "must not have an empty segment before '/*'"
  const canonical = base === '' ? base : canonicalPath(base)?.path
  if (canonical === undefined) return 'is a path the gateway refuses with BAD_PATH, so no request can match it'
  return canonical === base ? null : `must be written '${canonical}${path.slice(base.length)}' to match anything`
}

function ownPathProblem(path: string, authMode: Env['authMode'] | undefined): string | null {
  return isOwnPath(basePath(path), authMode) ? 'can never match: the gateway serves this path itself' : null
}

function stripProblem({ path, stripPrefix }: RouteConfig): string | null {
  if (stripPrefix === null) return null
  const whole = stripPrefix.startsWith('/') && !stripPrefix.endsWith('/') && !stripPrefix.includes('*')
  return whole && isAtOrBelow(basePath(path), stripPrefix)
    ? null
    : 'must be one or more whole leading segments of the path, without a slash at the end'
}

/** A route with methods goes before one without, so only two of a kind can stand in each other's way. */
function overlapProblem(route: RouteConfig, earlier: readonly RouteConfig[]): string | null {
  for (const other of earlier) {
    if (other.path !== route.path || other.host !== route.host) continue
    if (route.methods === null && other.methods === null) return `matches the same requests as '${other.name}'`
    const shared = route.methods?.filter(method => other.methods?.includes(method)) ?? []
    if (shared.length > 0) return `matches the same ${shared.join(', ')} requests as '${other.name}'`
  }
  return null
}
