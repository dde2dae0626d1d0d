/**
 * Better Auth's database adapter, with every failed query noted on the request it belongs to.
 * The adapter object is changed in place: Better Auth finds its schema check by that very object.
 */
import type { BetterAuthOptions } from 'better-auth'
import type { DBAdapter } from 'better-auth/adapters'
import { noteFailure } from './handling.js'

type CreateAdapter = (options: BetterAuthOptions) => DBAdapter<BetterAuthOptions>

const QUERIES = [
  'create',
  'findOne',
  'findMany',
  'count',
  'update',
  'updateMany',
  'delete',
  'deleteMany',
  'consumeOne',
  'incrementOne'
] as const

type Queries = Record<(typeof QUERIES)[number], (...args: never[]) => Promise<unknown>>

export function watchFailures(create: CreateAdapter): CreateAdapter {
  return options => {
    const adapter = create(options)
    watch(adapter as unknown as Queries)
    const begin = adapter.transaction.bind(adapter)
    adapter.transaction = run =>
      noting(
        begin(inner => {
          watch(inner as unknown as Queries)
          return run(inner)
        })
      )
    return adapter
  }
}

function watch(adapter: Queries): void {
  for (const name of QUERIES) {
    const query = adapter[name].bind(adapter)
    adapter[name] = (...args) => noting(query(...args))
  }
}

function noting<T>(result: Promise<T>): Promise<T> {
  return result.catch((error: unknown) => {
    noteFailure(error)
    throw error
  })
}
