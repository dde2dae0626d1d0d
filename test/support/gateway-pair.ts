/**
 * Two gateways as processes of their own on one PostgreSQL and one Redis, an echo upstream behind both, and people
 * with sessions in the database: as many as a test needs, without the price of a password each.
 */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashPassword } from 'better-auth/crypto'
import postgres, { type Sql } from 'postgres'
import { signToken } from '../../src/session/credential.js'
import { migratedPostgres, PASSWORD, ROUTES, SECRET } from './gateway.js'
import type { TestPostgres } from './postgres.js'
import { type GatewayProcess, isUp, spawnGateway } from './process.js'
import { startRedis, type TestRedis } from './redis.js'
import { emptyFolder } from './scratch.js'
import { startUpstream, type Upstream } from './upstream.js'

/** What both believe to be their address, whatever port they listen on. */
export const BASE_URL = 'http://gw.test'
const COOKIE = 'better-auth.session_token'

type Env = Readonly<Record<string, string>>
type Scope = { teardown: (fn: () => unknown) => unknown }

export interface PairOptions {
  /** Of both. */
  readonly env?: Env
  /** On top of it, by node; asked when PostgreSQL and Redis run. */
  readonly own?: (servers: {
    readonly postgres: TestPostgres
    readonly redis: TestRedis
  }) => Promise<readonly [Env, Env]>
  /** Before the gateways start. */
  readonly prepare?: (sql: Sql) => Promise<unknown>
}

export interface GatewayPair {
  readonly a: GatewayProcess
  readonly b: GatewayProcess
  readonly postgres: TestPostgres
  readonly redis: TestRedis
  readonly upstream: Upstream
  /** As superuser. */
  readonly sql: Sql
  readonly person: (options?: PersonOptions) => Promise<Person>
}

export interface PersonOptions {
  readonly role?: string
  /** How many; default 1. */
  readonly sessions?: number
}

export interface TestSession {
  readonly token: string
  /** `name=value`. */
  readonly cookie: string
  /** `token.signature`. */
  readonly bearer: string
}

export interface Person extends TestSession {
  readonly id: string
  readonly email: string
  /** All of them, this one first. */
  readonly sessions: readonly TestSession[]
}

export async function startGatewayPair(t: Scope, options: PairOptions = {}): Promise<GatewayPair> {
  const [upstream, database, redis, folder, password] = await Promise.all([
    startUpstream(t),
    migratedPostgres(t),
    startRedis(t),
    emptyFolder(t),
    hashPassword(PASSWORD)
  ])
  await writeFile(join(folder, 'gateway.yaml'), ROUTES.replaceAll('$UPSTREAM', upstream.origin))
  const sql = postgres(database.superUrl, { max: 4, onnotice: () => {}, idle_timeout: 1 })
  t.teardown(() => sql.end({ timeout: 1 }))
  await options.prepare?.(sql)
  const env = {
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    BETTER_AUTH_SECRET: SECRET,
    BETTER_AUTH_URL: BASE_URL,
    LOGIN_RATE_LIMIT_IP: '10000/60s',
    LOGIN_RATE_LIMIT_ACCOUNT: '10000/15m',
    ...options.env
  }
  const own = (await options.own?.({ postgres: database, redis })) ?? [{}, {}]
  const [a, b] = await Promise.all([
    spawnGateway(t, folder, { ...env, ...own[0] }),
    spawnGateway(t, folder, { ...env, ...own[1] })
  ])
  await Promise.all([isUp(a), isUp(b)])
  return { a, b, postgres: database, redis, upstream, sql, person: one => addPerson(sql, password, one) }
}

let people = 0

async function addPerson(sql: Sql, password: string, options: PersonOptions = {}): Promise<Person> {
  const [id, email] = [randomBytes(16).toString('hex'), `person${++people}@example.com`]
  await sql`insert into auth."user" (id, name, email, role) values (${id}, 'A Person', ${email}, ${options.role ?? 'user'})`
  await sql`insert into auth.account (id, account_id, provider_id, user_id, password)
    values (${id}, ${id}, 'credential', ${id}, ${password})`
  const sessions: TestSession[] = []
  for (let i = 0; i < (options.sessions ?? 1); i++) {
    const token = randomBytes(24).toString('base64url').slice(0, 32)
    await sql`insert into auth.session (id, token, user_id, expires_at)
      values (${token}, ${token}, ${id}, now() + interval '7 days')`
    sessions.push(sessionOf(token))
  }
  const [first] = sessions
  if (first === undefined) throw new Error('a person has a session')
  return { id, email, ...first, sessions }
}

export function sessionOf(token: string): TestSession {
  const bearer = signToken(token, SECRET)
  return { token, bearer, cookie: `${COOKIE}=${encodeURIComponent(bearer)}` }
}

/** The session a response sets; null when it sets none. */
export function sessionSetBy(response: Response): TestSession | null {
  // A change of sessions takes the old cookie away before it sets the new one.
  const line = response.headers.getSetCookie().findLast(each => each.startsWith(`${COOKIE}=`)) ?? ''
  const [token = ''] = decodeURIComponent(line.slice(COOKIE.length + 1)).split(/[.;]/)
  return token === '' ? null : sessionOf(token)
}

/** JSON, from the gateway's own origin unless told otherwise. */
export function postTo(
  { port }: Pick<GatewayProcess, 'port'>,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: object = {}
): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: BASE_URL, ...headers },
    body: JSON.stringify(body),
    redirect: 'manual'
  })
}

export function getFrom(
  { port }: Pick<GatewayProcess, 'port'>,
  path: string,
  headers: Readonly<Record<string, string>> = {}
): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}${path}`, { headers, redirect: 'manual' })
}

/** What a call answered, and what the upstream was told of the caller. */
export interface Seen {
  readonly status: number
  /** Lower-case names; empty where the upstream was not reached. */
  readonly identity: Readonly<Record<string, string>>
}

export async function callThrough(gateway: Pick<GatewayProcess, 'port'>, { cookie }: TestSession): Promise<Seen> {
  const response = await getFrom(gateway, '/api/a/x', { cookie })
  const echo = (await response.json()) as { rawHeaders?: readonly string[] }
  const identity: Record<string, string> = {}
  const raw = echo.rawHeaders ?? []
  for (let i = 0; i < raw.length; i += 2) identity[(raw[i] ?? '').toLowerCase()] = raw[i + 1] ?? ''
  return { status: response.status, identity }
}
