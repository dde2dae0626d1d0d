/**
 * What a bare machine does not have, brought along: a PostgreSQL with its tables, and a secret. Both stay in `.data/`.
 */
import { join, resolve } from 'node:path'
import type { AppConfig } from '../app-config.js'
import type { Env } from '../config/env.js'
import { startEmbeddedPostgres } from '../data/embedded-postgres.js'
import { localSecret } from '../data/local-secret.js'
import { migrate } from '../data/migrate.js'
import { createDirectClient } from '../data/postgres.js'

const FOLDER = '.data'

export type LocalParts = Pick<AppConfig, 'databaseUrl' | 'databaseDirectUrl' | 'secrets'> & {
  readonly close: () => Promise<void>
}

/** Only what the environment leaves out is brought; in production the configuration has refused that before. */
export async function openLocal(env: Env, say: (line: string) => void): Promise<LocalParts> {
  const folder = resolve(FOLDER)
  const secrets = env.secrets.length > 0 ? env.secrets : [{ version: 1, value: await localSecret(folder) }]
  if (env.databaseUrl !== null) {
    const { databaseUrl } = env
    return { databaseUrl, databaseDirectUrl: env.databaseDirectUrl ?? databaseUrl, secrets, close: async () => {} }
  }
  say('No DATABASE_URL: starting the embedded PostgreSQL …')
  const embedded = await startEmbeddedPostgres({ dataDir: join(folder, 'postgres'), log: say })
  try {
    await migrateTo(embedded.url, env, say)
  } catch (error) {
    await embedded.stop()
    throw error
  }
  return { databaseUrl: embedded.url, databaseDirectUrl: embedded.url, secrets, close: () => embedded.stop() }
}

async function migrateTo(url: string, { databaseSchema, authMode }: Env, say: (line: string) => void): Promise<void> {
  const sql = createDirectClient(url)
  try {
    await migrate(sql, { schema: databaseSchema, mode: authMode }, say)
  } finally {
    await sql.end()
  }
}
