/** From the parts of gateway.yaml as written to what the program works with: numbers for units, null for nothing. */
import type { output } from 'zod'
import type { AccessConfig, RouteConfig, RouteTest, UpstreamConfig } from './gateway-file.js'
import type { routeSchema, testSchema, upstreamSchema } from './gateway-schema.js'
import { durationMs, sizeBytes } from './quantities.js'
import type { UpstreamTls } from './upstream-tls.js'

export function upstreamOf(
  name: string,
  written: output<typeof upstreamSchema>,
  tls: UpstreamTls | null
): UpstreamConfig {
  const { targets, internalKey, audience, retries, health, maxBody, maxSockets, timeout } = written
  return {
    name,
    targets: targets.map(target => new URL(target).origin),
    internalKey: internalKey ?? null,
    audience: audience ?? null,
    connectTimeoutMs: milliseconds(timeout.connect),
    headersTimeoutMs: milliseconds(timeout.headers),
    idleTimeoutMs: milliseconds(timeout.idle),
    retries,
    health: health === undefined ? null : { path: health.path, intervalMs: milliseconds(health.interval) },
    maxBodyBytes: maxBody === undefined ? null : sizeBytes(maxBody),
    maxSockets,
    tls
  }
}

export function routeOf(written: output<typeof routeSchema>): RouteConfig {
  const { access, methods, host, stripPrefix, onUnauthenticated, rateLimit, ...others } = written
  return {
    ...others,
    methods: methods ?? null,
    host: host ?? null,
    stripPrefix: stripPrefix ?? null,
    access: accessOf(access),
    redirectToPortal: onUnauthenticated === 'redirect',
    rateLimit:
      rateLimit === undefined
        ? null
        : { max: rateLimit.max, windowMs: milliseconds(rateLimit.window), by: rateLimit.by }
  }
}

function accessOf(written: output<typeof routeSchema>['access']): AccessConfig {
  if (typeof written === 'string') return written
  const { roles, organizationRoles, emailVerified, fresh } = written
  return {
    ...(roles && { roles }),
    ...(organizationRoles && { organizationRoles }),
    ...(emailVerified && { emailVerified }),
    ...(fresh && { freshMs: milliseconds(fresh) })
  }
}

export function testOf({ request, host, as, expect }: output<typeof testSchema>): RouteTest {
  const [method = '', path = ''] = request.split(' ')
  return { method, path, host: host ?? null, as: as === 'anonymous' ? as : callerOf(as), expect }
}

function callerOf({ roles = [], organizationRole, emailVerified }: Caller): RouteTest['as'] {
  return { roles, emailVerified, ...(organizationRole !== undefined && { organizationRole }) }
}

type Caller = Exclude<output<typeof testSchema>['as'], string>

/** The schema has seen to it that this is a duration. */
function milliseconds(duration: string): number {
  return durationMs(duration) as number
}
