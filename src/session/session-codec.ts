/**
 * A session as the body of a cache entry: a JSON array, a third of the object's size and time to parse.
 * Decoding trusts nothing: what is not exactly such an array is no session, so a foreign or damaged entry is a miss.
 */
import type { Session } from './session.js'

/** Part of what entries are bound to: nodes with another format do not read each other's. */
export const ENTRY_FORMAT = '2'

export function encodeSession(session: Session): string {
  const { id, userId, email, emailVerified, roles, organizationId, organizationRole } = session
  return JSON.stringify([
    id,
    userId,
    email,
    emailVerified,
    roles,
    organizationId,
    organizationRole,
    session.impersonated,
    session.fingerprint,
    session.createdAt,
    session.expiresAt
  ])
}

export function decodeSession(body: string): Session | null {
  const fields = parseArray(body)
  if (fields === null || fields.length !== 11) return null
  const [id, userId, email, emailVerified, roles, organizationId, organizationRole, ...rest] = fields
  const [impersonated, fingerprint, createdAt, expiresAt] = rest
  if (!isName(id) || !isName(userId) || typeof email !== 'string' || typeof emailVerified !== 'boolean') return null
  if (!Array.isArray(roles) || !roles.every(isName)) return null
  if (!isNameOrNull(organizationId) || !isNameOrNull(organizationRole)) return null
  if (typeof impersonated !== 'boolean' || !isNameOrNull(fingerprint)) return null
  if (!isTime(createdAt) || !isTime(expiresAt)) return null
  const organization = { organizationId, organizationRole }
  return { id, userId, email, emailVerified, roles, ...organization, impersonated, fingerprint, createdAt, expiresAt }
}

function parseArray(body: string): readonly unknown[] | null {
  try {
    const value: unknown = JSON.parse(body)
    return Array.isArray(value) ? value : null
  } catch {
    return null
  }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isNameOrNull(value: unknown): value is string | null {
  return value === null || isName(value)
}

function isTime(value: unknown): value is number {
  return Number.isFinite(value)
}
