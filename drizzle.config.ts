import { defineConfig } from 'drizzle-kit'
import { AUTH_SCHEMA } from './schema/auth.js'

/** For `npm run db:generate` alone: migrations are applied by `session-gateway migrate`. */
export default defineConfig({
  dialect: 'postgresql',
  schema: './schema/auth.ts',
  out: './schema/migrations',
  schemaFilter: [AUTH_SCHEMA]
})
