/** What a row of the ONE query says. */
import { fingerprintOf } from './fingerprint.js'
import { LastRead } from './last-read.js'
import type { Rotation, Session } from './session.js'

/**
 * The raw token, to tell the rows of a batch apart, what is known of its session, as JSON, and for how long it lives:
 * one text instead of fifteen columns is half the work for the client, and the same for PostgreSQL (2026-11-22).
 */
export type SessionRow = readonly [token: string, facts: string, secondsLeft: number]

/** In the order they are selected. */
type Facts = readonly [
  id: string,
  userId: string,
  email: string,
  emailVerified: boolean,
  role: string | null,
  banned: boolean,
  organizationId: string | null,
  organizationRole: string | null,
  impersonated: boolean,
  userAgent: string | null,
  ipAddress: string | null,
  createdMs: number,
  expiresMs: number,
  rotationDue: boolean,
  /** Of a session that was found by an old token. */
  currentToken: string | null
]

export interface StoredFacts {
  readonly banned: boolean
  /** With one, nobody may keep a copy. */
  readonly rotation: Rotation | null
  readonly session: Session
}

export interface StoredSession {
  readonly facts: StoredFacts
  /** By PostgreSQL's clock when it answered: the bound of every copy's life. */
  readonly secondsLeft: number
}

/** By token. Throws a TypeError for rows of another statement. */
export type RowReader = (rows: readonly SessionRow[]) => Map<string, StoredSession>

export function createRowReader(): RowReader {
  const lastRead = new LastRead(parseFacts)
  return rows => {
    const found = new Map<string, StoredSession>()
    for (const [token, facts, secondsLeft] of rows) found.set(token, { facts: lastRead.read(token, facts), secondsLeft })
    return found
  }
}

function parseFacts(text: string): StoredFacts {
  const facts: unknown = JSON.parse(text)
  if (!isFacts(facts)) throw new TypeError('these are no facts of a session')
  const [id, userId, email, emailVerified, role, banned, activeOrganization, organizationRole] = facts
  const [, , , , , , , , impersonated, userAgent, ipAddress, createdAt, expiresAt, due, current] = facts
  return {
    banned,
    rotation: current === null ? (due ? 'due' : null) : { token: current },
    session: {
      id,
      userId,
      email,
      emailVerified,
      roles: rolesOf(role),
      // A member that was removed leaves its organisation active in the session: without a member row there is none.
      organizationId: organizationRole === null ? null : activeOrganization,
      organizationRole,
      impersonated,
      fingerprint: fingerprintOf(userAgent, ipAddress),
      // JSON has no number for a time without end.
      createdAt: Number(createdAt),
      expiresAt: Number(expiresAt)
    }
  }
}

function isFacts(value: unknown): value is Facts {
  return Array.isArray(value) && value.length === 15
}

function rolesOf(role: string | null): string[] {
  if (role === null) return []
  return role
    .split(',')
    .map(each => each.trim())
    .filter(each => each !== '')
}
