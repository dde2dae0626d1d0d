import type { Sql } from 'postgres'
import type { Session } from '../../src/session/session.js'
import { createRowReader, type SessionRow, type StoredFacts } from '../../src/session/stored-session.js'

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

export interface FoundSession extends StoredFacts {
  readonly token: string
  readonly secondsLeft: number
}

/** What a look-up's statement finds. */
export async function storedSessions(sql: Sql, text: string, parameter: string): Promise<FoundSession[]> {
  const rows: readonly unknown[] = await sql.unsafe(text, [parameter]).values()
  const found = createRowReader()(rows as readonly SessionRow[])
  return [...found].map(([token, { facts, secondsLeft }]) => ({ token, secondsLeft, ...facts }))
}
