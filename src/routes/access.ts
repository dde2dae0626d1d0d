/** What a route demands of its caller, compiled; and whether a caller meets it. */
import type { Clock } from '../clock.js'
import type { AccessConfig } from '../config/gateway-file.js'
import type { ErrorCode } from '../errors.js'
import type { Session } from '../session/session.js'

export type AccessLevel = 'public' | 'optional' | 'session'

export interface Access {
  readonly level: AccessLevel
  /** Every inner list must be met by at least one of its roles (AND of ORs). */
  readonly roles: readonly (readonly string[])[]
  readonly organizationRoles: readonly (readonly string[])[]
  readonly emailVerified: boolean
  /** Milliseconds since sign-in; null: no limit. */
  readonly freshMs: number | null
}

/** The facts of a live session that access is about. */
export type AccessFacts = Pick<Session, 'roles' | 'organizationRole' | 'emailVerified' | 'createdAt'>

export function accessOf(config: AccessConfig): Access {
  const { roles, organizationRoles, emailVerified, freshMs } = typeof config === 'string' ? {} : config
  return {
    level: typeof config === 'string' ? config : 'session',
    roles: roles === undefined ? [] : [roles],
    organizationRoles: organizationRoles === undefined ? [] : [organizationRoles],
    emailVerified: emailVerified ?? false,
    freshMs: freshMs ?? null
  }
}

/** Why the owner of a live session may not come in, or null. `now` must be the clock that dated the session. */
export function refusalOf(access: Access, facts: AccessFacts, now: Clock): ErrorCode | null {
  if (access.level !== 'session') return null
  for (const oneOf of access.roles) {
    if (!facts.roles.some(role => oneOf.includes(role))) return 'INSUFFICIENT_ROLE'
  }
  if (access.organizationRoles.length > 0) {
    // Better Auth keeps several roles of a member in one comma list.
    const held = facts.organizationRole?.split(',').map(role => role.trim()) ?? []
    for (const oneOf of access.organizationRoles) {
      if (!held.some(role => oneOf.includes(role))) return 'INSUFFICIENT_ROLE'
    }
  }
  if (access.emailVerified && !facts.emailVerified) return 'EMAIL_NOT_VERIFIED'
  if (access.freshMs !== null && now() - facts.createdAt > access.freshMs) return 'SESSION_NOT_FRESH'
  return null
}

const STRICTNESS = { public: 0, optional: 1, session: 2 } as const satisfies Record<AccessLevel, number>

/** What demands everything that `one` and `other` demand. */
export function bothOf(one: Access, other: Access): Access {
  return {
    level: STRICTNESS[one.level] >= STRICTNESS[other.level] ? one.level : other.level,
    roles: [...one.roles, ...other.roles],
    organizationRoles: [...one.organizationRoles, ...other.organizationRoles],
    emailVerified: one.emailVerified || other.emailVerified,
    freshMs:
      one.freshMs === null || other.freshMs === null
        ? (one.freshMs ?? other.freshMs)
        : Math.min(one.freshMs, other.freshMs)
  }
}

/** In the words of gateway.yaml, for `explain`. */
export function describeAccess(access: Access): string {
  const demands = [
    ...access.roles.map(oneOf => `one of the roles ${oneOf.join(', ')}`),
    ...access.organizationRoles.map(oneOf => `one of the organisation roles ${oneOf.join(', ')}`),
    ...(access.emailVerified ? ['a verified e-mail'] : []),
    ...(access.freshMs === null ? [] : [`a sign-in less than ${access.freshMs / 1000} s old`])
  ]
  return demands.length === 0 ? access.level : `session with ${demands.join(' and ')}`
}
