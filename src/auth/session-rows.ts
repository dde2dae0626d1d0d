/**
 * The session table, asked directly: which rows a revocation is about, whether they are gone, and away with them.
 * A session may change its token at any moment (R42): here each of its tokens means it.
 */
import { causeMark } from '../../schema/cause-sql.js'
import type { RotationSql } from '../../schema/rotation-sql.js'
import type { AuthShape } from '../data/auth-shape.js'
import type { GuardedSql } from '../data/guarded-sql.js'
import { ident, nowAs } from '../data/sql-text.js'
import { tokensParameter } from '../session/session-query.js'
import type { Ending } from './end-later.js'
import type { Doomed, SessionRows } from './honest-revoke.js'

type Statement = readonly [text: string, parameters: readonly string[]]

/** `rotation`: null where tokens stay what they are. */
export function createSessionRows(sql: GuardedSql, shape: AuthShape, rotation: RotationSql | null): SessionRows {
  const { schema, idKind, tables } = shape
  const table = `${ident(schema)}.${ident(tables.session.name)}`
  const { id, token, userId, expiresAt, createdAt } = tables.session.columns
  if (!id || !token || !userId || !expiresAt || !createdAt) throw new TypeError('a session table that misses columns')
  const [tokenName, userName] = [ident(token.name), ident(userId.name)]
  const oneOf = `s.${tokenName} = any($1::text[])`
  // An array and not a join: so both sides of the OR use their index.
  const earlier = `s.${ident(id.name)} = any(array(
  select ${rotation?.sessionOf('offered.token')} from unnest($1::text[]) as offered (token)))`
  const oneOfThese = rotation === null ? oneOf : `(${oneOf} or ${earlier})`
  const age = `${nowAs(createdAt)} - s.${ident(createdAt.name)}`
  const live = (alias: string) => `${alias}.${ident(expiresAt.name)} > ${nowAs(expiresAt)}`
  const select = `select s.${tokenName} as token from ${table} s`
  const ofCaller = `${select} join ${table} me on me.${userName} = s.${userName} where me.${tokenName} = $1 and ${live('s')}`

  function whichOf(doomed: Doomed): Statement | null {
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

  function removalOf(ending: Ending, ageMs: number): Statement {
    if (ending.of === 'tokens') {
      return [`delete from ${table} s where ${oneOfThese}`, [tokensParameter(ending.tokens)]]
    }
    const theirs = `delete from ${table} s using ${table} me
 where me.${tokenName} = $1 and ${live('me')} and s.${userName} = me.${userName}`
    if (ending.of === 'one') return [`${theirs} and s.${tokenName} = $2`, [ending.token, ending.target]]
    const older = `${theirs} and ${age} >= $2::text::float8 * interval '1 millisecond'`
    return [ending.of === 'all' ? older : `${older} and s.${tokenName} <> $1`, [ending.token, String(ageMs)]]
  }

  return {
    async find(doomed) {
      const statement = whichOf(doomed)
      if (statement === null || statement[1].some(hasNul)) return []
      const rows = await sql.query<{ token: string }>(...statement)
      return rows.map(row => row.token)
    },
    async anyLeft(tokens) {
      const left = `${select} where ${oneOfThese} and ${live('s')} limit 1`
      const rows = await sql.query(left, [tokensParameter(tokens)])
      return rows.length > 0
    },
    async end(ending, cause, ageMs = 0) {
      const [text, parameters] = removalOf(ending, ageMs)
      if (!parameters.some(hasNul)) await sql.query(text + causeMark(cause), parameters)
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
