/**
 * postgres.js 3.4.9 ends the process when a statement follows in a transaction whose connection is gone, its own ROLLBACK
 * included: it writes to a socket that is null, in an immediate where nobody can catch it (porsager/postgres issues 1066,
 * 1154, 1208). `begin` itself rejects in time; so what comes later must not reach the driver. Away once it guards itself.
 */
import type { Sql, TransactionSql } from 'postgres'

type Run = (transaction: TransactionSql) => unknown

/** The same client, changed in place. Only what drizzle uses is guarded: `unsafe`, inside of `begin`. */
export function outliveLostTransactions(sql: Sql): Sql {
  const begin = sql.begin.bind(sql) as (options: string, run: Run) => Promise<unknown>
  return Object.assign(sql, {
    begin: (...args: [Run] | [string, Run]) => {
      const [options, run] = args.length === 1 ? ['', args[0]] : args
      const state = { isOver: false }
      const done = begin(options, transaction => {
        guard(transaction, state)
        return unlessOver(run, transaction, state)
      })
      // Its caller gets the error from `done`.
      done.catch(() => {
        state.isOver = true
      })
      return done
    }
  })
}

function guard(transaction: TransactionSql, state: { readonly isOver: boolean }): void {
  const unsafe = transaction.unsafe.bind(transaction)
  Object.assign(transaction, {
    unsafe: (...args: Parameters<typeof unsafe>) => {
      if (state.isOver) throw new Error('The connection of this transaction was lost.')
      return unsafe(...args)
    }
  })
}

/** Never settles when the connection is gone: the driver would send COMMIT or ROLLBACK on it. */
function unlessOver(run: Run, transaction: TransactionSql, state: { readonly isOver: boolean }): Promise<unknown> {
  return new Promise((resolve, reject) => {
    Promise.resolve(run(transaction)).then(
      value => state.isOver || resolve(value),
      // A reset fails the statement first and ends the connection one turn later.
      error => setImmediate(() => state.isOver || reject(error))
    )
  })
}
