/**
 * Every statement that Better Auth sends for a request says what for, in the words of the auth events. The triggers
 * note it, and so every node's log and metrics tell a sign-out from a password reset (schema/cause-sql.ts).
 */
import type { Sql, TransactionSql } from 'postgres'
import { causeMark } from '../../schema/cause-sql.js'
import { eventOf } from './auth-events.js'
import { currentHandling } from './handling.js'

/** `auth.sign_out` → `sign_out`; null for what is no auth event. */
export function causeOf(method: string, endpoint: string): string | null {
  return eventOf(method, endpoint)?.replace(/^auth\./, '') ?? null
}

/** The same client, changed in place. Only what drizzle uses is marked: `unsafe`, inside of `begin` too. */
export function markCauses(sql: Sql): Sql {
  const begin = sql.begin.bind(sql) as (run: (transaction: TransactionSql) => unknown) => Promise<unknown>
  mark(sql)
  return Object.assign(sql, {
    begin: (run: (transaction: TransactionSql) => unknown) =>
      begin(transaction => {
        mark(transaction)
        return run(transaction)
      })
  })
}

function mark(client: Sql | TransactionSql): void {
  const unsafe = client.unsafe.bind(client)
  Object.assign(client, {
    unsafe: (text: string, ...rest: unknown[]) => {
      const cause = currentHandling()?.cause ?? null
      return unsafe(cause === null ? text : text + causeMark(cause), ...(rest as []))
    }
  })
}
