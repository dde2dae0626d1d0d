/** Better Auth, set up for a gateway, and the few things the rest of the house needs from it. */
import { type AuthContext, betterAuth } from 'better-auth'
import { authTables } from '../data/auth-tables.js'
import { ConfigError } from '../errors.js'
import { createAuthDatabase } from './auth-database.js'
import { type AuthOptions, betterAuthOptions } from './auth-options.js'

export interface Auth {
  /** Rejects when Better Auth itself is broken; never reads anything but the request. */
  readonly handler: (request: Request) => Promise<Response>
  /** Names and attributes of the cookies, the internal adapter, the plugins. */
  readonly context: AuthContext
  /** Closes its pool. */
  readonly close: () => Promise<void>
}

/** Throws when the tables lack what Better Auth needs, so that the start fails and not every request. */
export async function createAuth(options: AuthOptions): Promise<Auth> {
  refuseSideDoor()
  const tables = authTables(options.shape)
  const database = createAuthDatabase(options.connect, tables)
  try {
    const auth = betterAuth(betterAuthOptions(options, database, new Set(Object.keys(tables.tables))))
    const context = await auth.$context
    if (options.env.authMode === 'hosted') await context.checkSchema?.()
    return { handler: auth.handler, context, close: database.close }
  } catch (error) {
    await database.close()
    throw error
  }
}

/** Better Auth trusts what stands in this variable besides its options; the origin check and CORS would not know. */
function refuseSideDoor(): void {
  const name = 'BETTER_AUTH_TRUSTED_ORIGINS'
  if (process.env[name]) throw new ConfigError([{ place: `env ${name}`, message: 'is not used: set CORS_ORIGINS.' }])
}
