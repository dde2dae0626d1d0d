/** Better Auth's own migrations, so that it is measured on the tables it makes itself. */
import { getMigrations } from 'better-auth/db/migration'
import { options } from './better-auth-options.mjs'

const { runMigrations } = await getMigrations(options)
await runMigrations()
process.exit()
