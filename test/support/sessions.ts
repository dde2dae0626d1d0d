import type { Sql } from 'postgres'
import type { Session } from '../../src/session/session.js'
import { rowToSession, type SessionValue, type StoredSession } from '../../src/session/session-query.js'

/** A live session of Ada, an ordinary user, lasting an hour. */
export function aSession(overrides: Partial<Session> = {}): Session {
  return {
    id: 'session-1',
    userId: 'ada',
    email: 'ada@example.com',
    emailVerified: true,
    roles: ['user'],
    organizationId: null,
    organizationRole: null,
    impersonated: false,
    fingerprint: null,
    createdAt: Date.now(),
    expiresAt: Date.now() + 3_600_000,
    ...overrides
  }
}

/** What a look-up's statement finds. */
export async function storedSessions(sql: Sql, text: string, parameter: string): Promise<StoredSession[]> {
  return (await sql.unsafe<{ column: SessionValue }[]>(text, [parameter]).values()).map(row => rowToSession(row))
}
