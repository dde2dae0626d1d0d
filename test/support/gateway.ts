/**
 * A whole gateway on real sockets: its own PostgreSQL, its own Redis, an upstream that tells what it received.
 * Configured as a user would: by variables and the text of a gateway.yaml. Closed when the test ends.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import postgres, { type Sql } from 'postgres'
import { type App, createApp } from '../../src/app.js'
import { loadConfig } from '../../src/config/load-config.js'
import { migrate } from '../../src/data/migrate.js'
import { freePort } from '../../src/data/postgres-cluster.js'
import { checkRoutes } from '../../src/routes/route-rules.js'
import { startPostgres, type TestPostgres } from './postgres.js'
import { startRedis, type TestRedis } from './redis.js'
import { emptyFolder } from './scratch.js'
import { startUpstream, type Upstream } from './upstream.js'

export const SECRET = 'a-secret-for-tests-of-32-characters-or-more'

/** `$UPSTREAM` stands for the origin of the echo upstream. */
export const ROUTES = `
upstreams:
  a: { targets: [$UPSTREAM], internalKey: the-internal-key }
  b: { targets: [$UPSTREAM], audience: b }
routes:
  - { name: a-admin, path: /api/a/admin/*, upstream: a, access: { roles: [admin] } }
  - { name: a, path: /api/a/*, upstream: a, access: session }
  - { name: b, path: /api/b/*, upstream: b, stripPrefix: /api, access: session }
  - { name: strict, path: /api/strict/*, upstream: a, access: session, consistency: strict }
  - { name: optional, path: /optional/*, upstream: a, access: optional }
  - { name: public, path: /public/*, upstream: a, access: public }
  - { name: posts, path: /posts/*, methods: [POST], upstream: a, access: session }
`

export interface GatewayOptions {
  /** Text of gateway.yaml; default `ROUTES`. */
  readonly yaml?: string
  readonly env?: Readonly<Record<string, string>>
  /** False: none. Default: one of its own. */
  readonly redis?: TestRedis | false
  /** A database another gateway of the test already runs on. */
  readonly postgres?: TestPostgres
  readonly upstream?: Upstream
}

export interface TestGateway {
  readonly app: App
  readonly port: number
  readonly opsPort: number
  /** `http://localhost:port`, the base URL. */
  readonly origin: string
  readonly upstream: Upstream
  readonly postgres: TestPostgres
  readonly redis: TestRedis | null
  /** As superuser, for what operators do by hand. */
  readonly sql: Sql
  /** Lines of the log so far, parsed. */
  readonly log: readonly Readonly<Record<string, unknown>>[]
  /** The gateway.yaml it was started with, after `$UPSTREAM` was filled in. */
  readonly yamlFile: string
}

type Scope = { teardown: (fn: () => unknown) => unknown }

export async function startGateway(t: Scope, options: GatewayOptions = {}): Promise<TestGateway> {
  const upstream = options.upstream ?? (await startUpstream(t))
  const database = options.postgres ?? (await migratedPostgres(t))
  const redis = options.redis === false ? null : (options.redis ?? (await startRedis(t)))
  const folder = await emptyFolder(t)
  const yamlFile = join(folder, 'gateway.yaml')
  await writeFile(yamlFile, (options.yaml ?? ROUTES).replaceAll('$UPSTREAM', upstream.origin))

  const [port, opsPort] = [await freePort(), await freePort()]
  const config = loadConfig(
    {
      PORT: String(port),
      OPS_PORT: String(opsPort),
      DATABASE_URL: database.url,
      BETTER_AUTH_SECRET: SECRET,
      GATEWAY_CONFIG: yamlFile,
      LOGIN_RATE_LIMIT_IP: '1000/60s',
      LOGIN_RATE_LIMIT_ACCOUNT: '1000/15m',
      ...(redis !== null && { REDIS_URL: redis.url }),
      ...options.env
    },
    checkRoutes
  )
  const { env, gateway } = config
  if (gateway === null || env.databaseUrl === null) throw new Error('a test gateway has a file and a database')
  const log: Record<string, unknown>[] = []
  const logger = pino({ level: env.logLevel, base: null }, { write: line => void log.push(JSON.parse(line)) })
  const parts = {
    databaseUrl: env.databaseUrl,
    databaseDirectUrl: env.databaseDirectUrl ?? env.databaseUrl,
    secrets: env.secrets
  }
  const app = await createApp({ env, gateway, ...parts }, logger)
  const sql = postgres(database.superUrl, { max: 2, onnotice: () => {} })
  t.teardown(async () => {
    await app.close()
    await sql.end({ timeout: 1 })
  })
  await app.listen()
  return {
    app,
    port: env.port,
    opsPort: env.opsPort,
    origin: env.baseUrl,
    upstream,
    postgres: database,
    redis,
    sql,
    log,
    yamlFile
  }
}

/** Its own server with our tables and triggers. */
export async function migratedPostgres(t: Scope): Promise<TestPostgres> {
  const database = await startPostgres(t)
  const sql = postgres(database.url, { max: 1, onnotice: () => {} })
  await migrate(sql, { schema: null, mode: 'hosted' }, () => {})
  await sql.end()
  return database
}

export interface TestUser {
  readonly id: string
  readonly email: string
  /** `name=value`, as a browser would send it. */
  readonly cookie: string
  /** `token.signature` for Authorization. */
  readonly bearer: string
}

export const PASSWORD = 'correct horse battery staple'

let people = 0

/** Signs up through the gateway, and gives the user a role by SQL before the session is used. */
export async function signUp(gateway: TestGateway, role?: string): Promise<TestUser> {
  const email = `user${++people}@example.com`
  const response = await post(gateway, '/api/auth/sign-up/email', { name: 'A User', email, password: PASSWORD })
  if (response.status !== 200) throw new Error(`sign-up answered ${response.status}: ${await response.text()}`)
  const { user } = (await response.json()) as { user: { id: string } }
  if (role !== undefined) await giveRole(gateway.sql, user.id, role)
  return { id: user.id, email, ...credentialsOf(response) }
}

/** As if the role had been there before the session, which therefore keeps its token (R42). */
async function giveRole(sql: Sql, userId: string, role: string): Promise<void> {
  await sql.begin(async change => {
    await change`update auth."user" set role = ${role} where id = ${userId}`
    await change`delete from auth.gateway_rotation_due d using auth.session s
      where d.session_id = s.id and s.user_id = ${userId}`
  })
}

export async function signIn(gateway: TestGateway, email: string): Promise<Pick<TestUser, 'cookie' | 'bearer'>> {
  const response = await post(gateway, '/api/auth/sign-in/email', { email, password: PASSWORD })
  if (response.status !== 200) throw new Error(`sign-in answered ${response.status}: ${await response.text()}`)
  return credentialsOf(response)
}

/** JSON, from the gateway's own origin. */
export function post(
  { origin, port }: TestGateway,
  path: string,
  body: object = {},
  headers: Readonly<Record<string, string>> = {}
): Promise<Response> {
  return fetch(`http://localhost:${port}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin, ...headers },
    body: JSON.stringify(body)
  })
}

export function get(
  { port }: TestGateway,
  path: string,
  headers: Readonly<Record<string, string>> = {}
): Promise<Response> {
  return fetch(`http://localhost:${port}${path}`, { headers, redirect: 'manual' })
}

function credentialsOf(response: Response): Pick<TestUser, 'cookie' | 'bearer'> {
  const line = response.headers.getSetCookie().find(each => each.includes('session_token=')) ?? ''
  const cookie = line.slice(0, line.indexOf(';'))
  return { cookie, bearer: decodeURIComponent(cookie.slice(cookie.indexOf('=') + 1)) }
}
