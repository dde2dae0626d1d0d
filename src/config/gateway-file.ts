/** gateway.yaml: what is routed, and to whom it is open. As written, checked, with every default filled in. */
import { dirname } from 'node:path'
import type { ConfigProblem } from '../errors.js'
import { gatewaySchema, routeSchema, testSchema, upstreamSchema } from './gateway-schema.js'
import { routeOf, testOf, upstreamOf } from './gateway-shapes.js'
import { type InterpolateOptions, interpolate } from './interpolate.js'
import { type Finding, findingsOf } from './schema-findings.js'
import { readUpstreamTls, type UpstreamTls } from './upstream-tls.js'
import { type DocumentPath, readYaml, type YamlDocument } from './yaml-document.js'

export interface UpstreamConfig {
  readonly name: string
  /** Origins, `http://orders-1:8000`; no path, no credentials. */
  readonly targets: readonly string[]
  readonly internalKey: string | null
  /** Audience of X-Gateway-Assertion; null: none is sent. */
  readonly audience: string | null
  readonly connectTimeoutMs: number
  readonly headersTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly retries: number
  readonly health: { readonly path: string; readonly intervalMs: number } | null
  /** Bytes; null: no limit, always streamed. */
  readonly maxBodyBytes: number | null
  /** WebSockets one user may hold open in one process. */
  readonly maxSockets: number
  /** Null: the system's authorities are trusted, and no certificate is shown. */
  readonly tls: UpstreamTls | null
}

export type AccessConfig =
  | 'public'
  | 'optional'
  | 'session'
  | {
      readonly roles?: readonly string[]
      readonly organizationRoles?: readonly string[]
      readonly emailVerified?: true
      readonly freshMs?: number
    }

export interface RouteConfig {
  readonly name: string
  /** As written: `/api/orders/*` or an exact `/health`. */
  readonly path: string
  /** Upper case; null: all. */
  readonly methods: readonly string[] | null
  readonly host: string | null
  readonly upstream: string
  /** Prefix cut off before forwarding, `/api`; null: none. */
  readonly stripPrefix: string | null
  readonly access: AccessConfig
  readonly consistency: 'cached' | 'strict'
  readonly originCheck: boolean
  readonly redirectToPortal: boolean
  readonly rateLimit: { readonly max: number; readonly windowMs: number; readonly by: 'user' | 'ip' } | null
}

/** One entry of `tests:`; run by `session-gateway check`. */
export interface RouteTest {
  readonly method: string
  readonly path: string
  readonly host: string | null
  readonly as:
    | 'anonymous'
    | { readonly roles: readonly string[]; readonly organizationRole?: string; readonly emailVerified?: boolean }
  /** A status, or the name of the upstream (or route) that must be reached. */
  readonly expect: number | string
}

export interface GatewayFile {
  readonly upstreams: readonly UpstreamConfig[]
  readonly routes: readonly RouteConfig[]
  readonly tests: readonly RouteTest[]
  /** `gateway.yaml:12:5 routes[1].access` for a path into this object, upstreams by their name. */
  readonly placeOf: (path: readonly (string | number)[]) => string
}

export interface GatewayReading {
  /** With problems, only what was sound: good for finding more of them, not for use. */
  readonly gateway: GatewayFile
  readonly problems: readonly ConfigProblem[]
}

export interface ReadGatewayOptions {
  /** For places. */
  readonly file: string
  /** What `${NAME}` stands for; null: not set. */
  readonly variable: (name: string) => string | null
}

export function parseGatewayFile(text: string, { file, variable }: ReadGatewayOptions): GatewayReading {
  const document = readYaml(text, file)
  const problems = [...document.problems]
  const report = (path: DocumentPath, message: string): void => {
    problems.push({ place: document.placeOf(path), message })
  }
  const written = withVariables(document.value, { variable, report })
  if (document.isReadable) {
    const findings = [...findingsOf(gatewaySchema, written), ...strayNames(fieldsOf(written))]
    for (const { path, message } of findings) report(path, message)
  }
  const readTls: TlsReader = (name, paths) =>
    readUpstreamTls(paths, dirname(file), (key, message) =>
      report(['upstreams', name, 'tls', ...(key === null ? [] : [key])], message)
    )
  return { gateway: soundParts(fieldsOf(written), document, readTls), problems }
}

/** `${NAME}` counts below `upstreams` only: nothing there is ever logged. */
function withVariables(value: unknown, options: InterpolateOptions): unknown {
  const { upstreams, ...others } = fieldsOf(value)
  if (upstreams === undefined) return value
  return { ...others, upstreams: interpolate(upstreams, ['upstreams'], options) }
}

type TlsReader = (upstream: string, paths: Parameters<typeof readUpstreamTls>[0]) => UpstreamTls

function soundParts({ upstreams, routes, tests }: Fields, document: YamlDocument, readTls: TlsReader): GatewayFile {
  const sound = {
    routes: itemsOf(routes).flatMap((item, index) => {
      const route = soundRoute(item)
      return route === null ? [] : [{ index, route }]
    }),
    tests: itemsOf(tests).flatMap((item, index) => {
      const { success, data } = testSchema.safeParse(item)
      return success ? [{ index, test: testOf(data) }] : []
    })
  }
  return {
    upstreams: Object.entries(fieldsOf(upstreams)).flatMap(([name, item]) => {
      const { success, data } = upstreamSchema.safeParse(item)
      return success ? [upstreamOf(name, data, data.tls === undefined ? null : readTls(name, data.tls))] : []
    }),
    routes: sound.routes.map(({ route }) => route),
    tests: sound.tests.map(({ test }) => test),
    placeOf: ([list, step, ...rest]) => {
      const items = list === 'routes' || list === 'tests' ? sound[list] : []
      const index = typeof step === 'number' ? items[step]?.index : step
      return document.placeOf([list, index, ...rest].filter(one => one !== undefined))
    }
  }
}

/** A route with problems still stands in the way of others, so it is completed as far as matching goes. */
function soundRoute(item: unknown): RouteConfig | null {
  const { success, data } = routeSchema.safeParse(item)
  if (success) return routeOf(data)
  const { path, methods, host, stripPrefix } = fieldsOf(item)
  const matching = { name: 'unsound', upstream: 'unsound', access: 'session', path, methods, host }
  const completed = routeSchema.safeParse({ ...matching, stripPrefix }).data ?? routeSchema.safeParse(matching).data
  return completed === undefined ? null : routeOf(completed)
}

/** Names of nothing, and one name for two things. */
function strayNames({ upstreams, routes, tests }: Fields): Finding[] {
  const upstreamNames = Object.keys(fieldsOf(upstreams))
  const findings: Finding[] = []
  const routeNames = new Set<string>()
  for (const [index, route] of itemsOf(routes).map(fieldsOf).entries()) {
    const { name, upstream } = route
    if (typeof name === 'string') {
      if (routeNames.has(name))
        findings.push({ path: ['routes', index, 'name'], message: 'is the name of another route' })
      routeNames.add(name)
    }
    if (typeof upstream === 'string' && !upstreamNames.includes(upstream)) {
      findings.push({ path: ['routes', index, 'upstream'], message: `'${upstream}' is no upstream of this file` })
    }
  }
  for (const [index, { expect }] of itemsOf(tests).map(fieldsOf).entries()) {
    if (typeof expect !== 'string' || routeNames.has(expect) || upstreamNames.includes(expect)) continue
    findings.push({ path: ['tests', index, 'expect'], message: `'${expect}' is no route or upstream of this file` })
  }
  return findings
}

type Fields = Readonly<Record<string, unknown>>

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
}

function itemsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
