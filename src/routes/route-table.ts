/**
 * All routes, compiled: the longest path wins, then a host, then a method. A more specific path or host
 * decides alone: if it does not take the method, the answer is 405 and no broader route gets the request.
 */
import type { RouteConfig } from '../config/gateway-file.js'
import { ConfigError } from '../errors.js'
import { type Access, accessOf, bothOf } from './access.js'
import { foldPath, isOdd } from './fold-path.js'
import { PathIndex } from './path-index.js'
import { basePath, isAtOrBelow, type RouteRuleOptions, routeProblems } from './route-rules.js'

/** What the table is asked. `path` is canonical and carries no query; `host` is lower case without a port. */
export interface Target {
  readonly method: string
  readonly host: string
  readonly path: string
}

export interface Route {
  readonly name: string
  readonly path: string
  readonly methods: readonly string[] | null
  readonly host: string | null
  readonly access: Access
  readonly upstream: string
  readonly stripPrefix: string | null
  readonly consistency: 'cached' | 'strict'
  readonly originCheck: boolean
  readonly redirectToPortal: boolean
  readonly rateLimit: RateLimit | null
}

export interface RateLimit {
  /** Of the route that sets it: what is counted under that name is counted together. */
  readonly name: string
  readonly max: number
  readonly windowMs: number
  readonly by: 'user' | 'ip'
}

export type Match =
  | { readonly kind: 'route'; readonly route: Route }
  | { readonly kind: 'method'; readonly allow: readonly string[] }
  | { readonly kind: 'none' }

type RouteMatch = Extract<Match, { kind: 'route' }>

/** The routes of one path and host, told apart by method. */
interface Group {
  /** Without a final `/*`. */
  readonly path: string
  readonly wildcard: boolean
  readonly host: string | null
  readonly folded: string
  readonly byMethod: ReadonlyMap<string, Match>
  /** For methods nobody names. */
  readonly otherwise: Match
}

const NONE: Match = { kind: 'none' }

/** Immutable but for a memory of merged routes. */
export class RouteTable {
  readonly routes: readonly Route[]
  readonly #index: PathIndex<Group>
  readonly #foldedIndex: PathIndex<Group>
  /** Wildcard groups with others below them, that a server could read a path into. */
  readonly #ambiguous: ReadonlySet<Group>
  /** True when a path of the table itself is not in folded form: then a plain path can be read as an odd one. */
  readonly #alwaysFold: boolean
  /** Bounded by the table: only routes that lie below each other are merged. */
  readonly #merged = new Map<RouteMatch, Map<RouteMatch, RouteMatch>>()

  /** Throws ConfigError with everything `routeProblems` finds. */
  static compile(configs: readonly RouteConfig[], options: RouteRuleOptions = {}): RouteTable {
    const problems = routeProblems(configs, options)
    if (problems.length > 0) throw new ConfigError(problems)
    return new RouteTable(configs.map(routeOf))
  }

  private constructor(routes: readonly Route[]) {
    const groups = groupsOf(routes)
    this.routes = routes
    this.#index = new PathIndex(groups, ({ path }) => path)
    this.#foldedIndex = new PathIndex(groups, ({ folded }) => folded)
    this.#ambiguous = new Set(groups.filter(group => groups.some(other => couldBeReadAs(group, other))))
    this.#alwaysFold = groups.some(({ path, folded }) => path !== folded)
  }

  match(target: Target): Match {
    const group = firstFor(target.host, this.#index.lookup(target.path))
    if (group === undefined) return NONE
    let match = matchIn(group, target.method)
    if (match.kind !== 'route' || !this.#ambiguous.has(group)) return match
    if (!this.#alwaysFold && !isOdd(target.path)) return match

    for (const reading of this.#otherReadings(target, group)) {
      if (reading.kind !== 'route') return reading
      match = this.#both(match, reading)
    }
    return match
  }

  /** Routes whose access a request must meet besides that of the route it is written for. */
  alsoDemanded(target: Target): readonly Route[] {
    const group = firstFor(target.host, this.#index.lookup(target.path))
    if (group === undefined || !this.#ambiguous.has(group)) return []
    return this.#otherReadings(target, group).flatMap(match => (match.kind === 'route' ? [match.route] : []))
  }

  /** What a server that reads the folded path would look for. Empty: nothing else than what is written. */
  #otherReadings({ method, host, path }: Target, written: Group): readonly Match[] {
    const groups = this.#foldedIndex.lookup(foldPath(path))
    const first = firstFor(host, groups)
    const alike = groups.filter(
      group => group.folded === first?.folded && group.wildcard === first.wildcard && isFor(host, group)
    )
    if (alike.includes(written)) return []
    const matches = alike.map(group => matchIn(group, method))
    const taken = matches.filter(({ kind }) => kind === 'route')
    return taken.length > 0 ? taken : matches
  }

  #both(written: RouteMatch, reading: RouteMatch): RouteMatch {
    const known = this.#merged.get(written) ?? new Map<RouteMatch, RouteMatch>()
    const match = known.get(reading) ?? { kind: 'route', route: mergedRoute(written.route, reading.route) }
    this.#merged.set(written, known.set(reading, match))
    return match
  }
}

function firstFor(host: string, groups: readonly Group[]): Group | undefined {
  for (const group of groups) if (isFor(host, group)) return group
  return undefined
}

function isFor(host: string, group: Group): boolean {
  return group.host === null || group.host === host
}

function matchIn(group: Group, method: string): Match {
  return group.byMethod.get(method) ?? group.otherwise
}

function couldBeReadAs(group: Group, other: Group): boolean {
  const differ = group.path !== other.path || group.wildcard !== other.wildcard
  return group.wildcard && differ && isAtOrBelow(other.folded, group.folded)
}

function routeOf({ access, rateLimit, ...config }: RouteConfig): Route {
  return { ...config, access: accessOf(access), rateLimit: rateLimit && { name: config.name, ...rateLimit } }
}

/** Goes where `written` says, for those who may go where either says, counted where it could be read to go. */
function mergedRoute(written: Route, reading: Route): Route {
  return {
    ...written,
    access: bothOf(written.access, reading.access),
    consistency: written.consistency === 'strict' ? 'strict' : reading.consistency,
    originCheck: written.originCheck || reading.originCheck,
    rateLimit: reading.rateLimit ?? written.rateLimit
  }
}

/** Those of a host come first: at one path they win. */
function groupsOf(routes: readonly Route[]): Group[] {
  const byPlace = new Map<string, Route[]>()
  for (const route of routes.toSorted((one, other) => Number(one.host === null) - Number(other.host === null))) {
    const place = `${route.host ?? ''} ${route.path}`
    byPlace.set(place, [...(byPlace.get(place) ?? []), route])
  }
  return [...byPlace.values()].map(groupOf)
}

function groupOf(routes: readonly Route[]): Group {
  const [{ path, host }] = routes as [Route]
  const byMethod = new Map<string, Match>()
  let otherwise: Match | null = null
  for (const route of routes) {
    const match: Match = { kind: 'route', route }
    if (route.methods === null) otherwise = match
    for (const method of route.methods ?? []) byMethod.set(method, match)
  }
  // RFC 9110 section 9.3.2: HEAD is GET without a body, unless a route says otherwise.
  const get = byMethod.get('GET')
  if (get !== undefined && !byMethod.has('HEAD')) byMethod.set('HEAD', get)
  otherwise ??= { kind: 'method', allow: [...byMethod.keys()] }
  return {
    path: basePath(path),
    wildcard: path.endsWith('/*'),
    host,
    folded: foldPath(basePath(path)),
    byMethod,
    otherwise
  }
}
