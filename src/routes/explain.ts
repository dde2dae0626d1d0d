/**
 * What would be decided, and why: the same table and the same rules as a request meets, without a server.
 * `session-gateway explain` prints it, `session-gateway check` holds `tests:` to it.
 */
import type { Env } from '../config/env.js'
import { ERRORS, type ErrorCode } from '../errors.js'
import { type AccessFacts, describeAccess, refusalOf } from './access.js'
import { canonicalPath } from './canonical-path.js'
import type { AnswersFor } from './own-hosts.js'
import { basePath, isAtOrBelow, isOwnPath } from './route-rules.js'
import type { Route, RouteTable, Target } from './route-table.js'

export interface Rules {
  readonly table: RouteTable
  readonly answersFor: AnswersFor
  readonly authMode: Env['authMode']
}

export interface Question {
  readonly method: string
  /** Path and query as a client writes them. */
  readonly url: string
  readonly host: string
  /** Null: without a session. */
  readonly caller: AccessFacts | null
}

export type Decision =
  | { readonly kind: 'route'; readonly route: Route }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly status: number }
  /** Answered by the gateway itself. */
  | { readonly kind: 'own' }

/** Everything but the origin check and rate limits, which depend on more than the question says. */
export function decide({ table, answersFor, authMode }: Rules, question: Question): Decision {
  const path = canonicalPath(question.url)?.path
  if (path === undefined) return refused('BAD_PATH')
  if (isOwnPath(path, authMode)) return { kind: 'own' }

  const { method, host, caller } = question
  if (!answersFor(host)) return refused('ROUTE_NOT_FOUND')
  const match = table.match({ method, host, path })
  if (match.kind === 'none') return refused('ROUTE_NOT_FOUND')
  if (match.kind === 'method') return refused('METHOD_NOT_ALLOWED')
  const { route } = match
  if (caller === null)
    return route.access.level === 'session' ? refused('AUTHENTICATION_REQUIRED') : { kind: 'route', route }
  const code = refusalOf(route.access, caller, Date.now)
  return code === null ? { kind: 'route', route } : refused(code)
}

const FOREIGN = '  nobody named this host: no route does, nor BETTER_AUTH_URL, CORS_ORIGINS or COOKIE_DOMAIN'

function refused(code: ErrorCode): Decision {
  return { kind: 'refused', code, status: ERRORS[code].status }
}

/** One line per route, then the decision. */
export function explain(rules: Rules, question: Question): string[] {
  const { table, answersFor } = rules
  const decision = decide(rules, question)
  const path = canonicalPath(question.url)?.path
  const isRouted = path !== undefined && decision.kind !== 'own'
  const lines = isRouted && answersFor(question.host) ? routeLines(table, { ...question, path }) : []
  return [
    `${question.method} ${path ?? question.url} for ${question.host}`,
    ...lines,
    ...(isRouted && !answersFor(question.host) ? [FOREIGN] : []),
    `=> ${outcome(decision, question)}`
  ]
}

function routeLines(table: RouteTable, target: Target): string[] {
  const match = table.match(target)
  const winner = match.kind === 'route' ? match.route.name : null
  const demanded = new Set(table.alsoDemanded(target).map(({ name }) => name))
  const nameWidth = Math.max(0, ...table.routes.map(({ name }) => name.length))
  const pathWidth = Math.max(0, ...table.routes.map(({ path }) => path.length))
  return table.routes.map(route => {
    const why =
      route.name === winner
        ? `decides: ${describeAccess(route.access)}`
        : demanded.has(route.name)
          ? `demanded as well, a server could read this path as one of its own: ${describeAccess(route.access)}`
          : whyNot(route, target)
    return `  ${route.name.padEnd(nameWidth)}  ${route.path.padEnd(pathWidth)}  ${why}`
  })
}

function whyNot({ path, host, methods }: Route, target: Target): string {
  const base = basePath(path)
  const matches = path === base ? target.path === base : isAtOrBelow(target.path, base)
  if (!matches) return 'no: another path'
  if (host !== null && host !== target.host) return `no: only for ${host}`
  if (methods !== null && !methods.includes(target.method)) return `no: only for ${methods.join(', ')}`
  return 'no: a more specific route goes first'
}

function outcome(decision: Decision, { caller }: Question): string {
  if (decision.kind === 'own') return 'answered by the gateway itself'
  if (decision.kind === 'refused') return `${decision.status} ${decision.code}`
  const { access, upstream } = decision.route
  const identity = caller === null || access.level === 'public' ? 'without an identity' : "with the caller's identity"
  return `forwarded to '${upstream}' ${identity}`
}
