/** The session table, asked directly: which rows a revocation is about, and whether they are gone. */
import type { AuthShape } from '../data/auth-shape.js'
import type { GuardedSql } from '../data/guarded-sql.js'
import { ident } from '../data/sql-text.js'
import { tokensParameter } from '../session/session-query.js'
import type { Doomed, SessionRows } from './honest-revoke.js'

export interface SessionRowsOptions {
  readonly sql: GuardedSql
  readonly shape: AuthShape
  /** Deletes by token; rejects when it cannot know. */
  readonly deleteByToken: (token: string) => Promise<unknown>
}

export function createSessionRows({ sql, shape, deleteByToken }: SessionRowsOptions): SessionRows {
  const { schema, idKind, tables } = shape
  const table = `${ident(schema)}.${ident(tables.session.name)}`
  const { token, userId, expiresAt } = tables.session.columns
  if (!token || !userId || !expiresAt) throw new TypeError('a session table without token, user or end')
  const [tokenName, userName] = [ident(token.name), ident(userId.name)]
  // Better Auth writes UTC into columns without a zone.
  const now = expiresAt.type === 'timestamp without time zone' ? `(now() at time zone 'utc')` : 'now()'
  const live = (alias: string) => `${alias}.${ident(expiresAt.name)} > ${now}`
  const select = `select s.${tokenName} as token from ${table} s`
  const ofCaller = `${select} join ${table} me on me.${userName} = s.${userName} where me.${tokenName} = $1 and ${live('s')}`

  function statementFor(doomed: Doomed): readonly [string, readonly string[]] | null {
    switch (doomed.of) {
      case 'one':
        return [`${ofCaller} and s.${tokenName} = $2`, [doomed.token, doomed.target]]
      case 'all':
        return [ofCaller, [doomed.token]]
      case 'others':
        return [`${ofCaller} and s.${tokenName} <> $1`, [doomed.token]]
      case 'any':
        return [`${select} where s.${tokenName} = $1 and ${live('s')}`, [doomed.target]]
      case 'user':
        if (!isId(idKind, doomed.userId)) return null
        return [`${select} where s.${userName} = $1 and ${live('s')}`, [doomed.userId]]
    }
  }

  return {
    end: deleteByToken,
    async find(doomed) {
      const statement = statementFor(doomed)
      if (statement === null || statement[1].some(hasNul)) return []
      const rows = await sql.query<{ token: string }>(...statement)
      return rows.map(row => row.token)
    },
    async anyLeft(tokens) {
      const left = `${select} where s.${tokenName} = any($1::text[]) and ${live('s')} limit 1`
      const rows = await sql.query(left, [tokensParameter(tokens)])
      return rows.length > 0
    }
  }
}

/** What is no id is nobody's; PostgreSQL would answer with an error, and errors mean an outage here. */
function isId(kind: AuthShape['idKind'], id: string): boolean {
  if (kind === 'uuid') return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)
  return kind === 'text' || /^\d{1,9}$/.test(id)
}

function hasNul(value: string): boolean {
  return value.includes('\0')
}
