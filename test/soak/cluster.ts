/** What is soaked: two gateway processes on one PostgreSQL and one Redis, and upstreams that tell whom they were told of. */
import { writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import postgres, { type Sql } from 'postgres'
import { freePort } from '../../src/data/postgres-cluster.js'
import { type FlakyLink, startFlakyLink } from '../support/flaky-link.js'
import { migratedPostgres, SECRET } from '../support/gateway.js'
import { BASE_URL } from '../support/gateway-pair.js'
import type { TestPostgres } from '../support/postgres.js'
import { type GatewayProcess, isUp, spawnGateway } from '../support/process.js'
import { startRedis, type TestRedis } from '../support/redis.js'
import { emptyFolder } from '../support/scratch.js'
import { startUpstream, type Upstream } from '../support/upstream.js'
import { type SocketServer, startSocketServer } from '../support/websocket-server.js'

export type Scope = { teardown: (fn: () => unknown) => unknown }

const ROUTES = (plain: string, live: string) => `
upstreams:
  plain: { targets: ['${plain}'] }
  live: { targets: ['${live}'] }
routes:
  - { name: strict, path: /api/strict/*, upstream: plain, access: session, consistency: strict }
  - { name: plain, path: /api/plain/*, upstream: plain, access: session }
  - { name: live, path: /live/*, upstream: live, access: session }
`

/** A gateway that can die and come back on the same ports. */
export class Node {
  readonly name: string
  readonly port: number
  readonly opsPort: number
  readonly #launch: () => Promise<GatewayProcess>
  #process: GatewayProcess | null = null

  constructor(name: string, ports: readonly [number, number], launch: () => Promise<GatewayProcess>) {
    this.name = name
    this.port = ports[0]
    this.opsPort = ports[1]
    this.#launch = launch
  }

  get process(): GatewayProcess {
    if (this.#process === null) throw new Error(`${this.name} was never started`)
    return this.#process
  }

  get pid(): number {
    return this.process.child.pid ?? 0
  }

  async start(): Promise<void> {
    this.#process = await this.#launch()
    await isUp(this.#process)
  }

  async kill9(): Promise<void> {
    this.process.signal('SIGKILL')
    await this.process.ended
  }
}

export interface Cluster {
  /** The one that dies. */
  readonly a: Node
  /** The one that is cut off: it reaches both servers by these links only. */
  readonly b: Node
  readonly postgresLink: FlakyLink
  readonly redisLink: FlakyLink
  readonly postgres: TestPostgres
  readonly redis: TestRedis
  readonly plain: PlainUpstream
  readonly live: SocketServer
  /** As superuser. */
  readonly sql: Sql
  /** One connection that nobody else uses. */
  readonly probe: Sql
}

export async function startCluster(t: Scope): Promise<Cluster> {
  const [plain, live, database, redis, folder] = await Promise.all([
    startPlainUpstream(t),
    startSocketServer(t),
    migratedPostgres(t),
    startRedis(t),
    emptyFolder(t)
  ])
  live.respond = stream
  await writeFile(join(folder, 'gateway.yaml'), ROUTES(plain.origin, live.origin))
  const [postgresLink, redisLink] = [await startFlakyLink(t, database.port), await startFlakyLink(t, redis.port)]
  const options = { onnotice: () => {}, connect_timeout: 5 }
  const sql = postgres(database.superUrl, { ...options, max: 8 })
  const probe = postgres(database.superUrl, { ...options, max: 1 })
  t.teardown(() => Promise.all([sql.end({ timeout: 1 }), probe.end({ timeout: 1 })]))

  async function node(name: string, databaseUrl: string, redisUrl: string): Promise<Node> {
    const ports = [await freePort(), await freePort()] as const
    const env = {
      PORT: String(ports[0]),
      OPS_PORT: String(ports[1]),
      DATABASE_URL: databaseUrl,
      REDIS_URL: redisUrl,
      BETTER_AUTH_SECRET: SECRET,
      BETTER_AUTH_URL: BASE_URL,
      // A client that lost the answer with its new token has lost its session: right, and not what is looked for here.
      SESSION_ROTATE_ON_ROLE_CHANGE: '0',
      LOG_LEVEL: 'error'
    }
    return new Node(name, ports, () => spawnGateway(t, folder, env))
  }

  const [a, b] = [
    await node('a', database.url, redis.url),
    await node('b', through(postgresLink, database), through(redisLink, redis))
  ]
  await Promise.all([a.start(), b.start()])
  return { a, b, postgresLink, redisLink, postgres: database, redis, plain, live, sql, probe }
}

function through(link: FlakyLink, { url, port }: { url: string; port: number }): string {
  return url.replace(`:${port}`, `:${link.port}`)
}

export interface PlainUpstream {
  readonly origin: string
  kill: () => Promise<void>
  /** On the same port. */
  start: () => Promise<void>
  closeIdleConnections: () => void
}

async function startPlainUpstream(t: Scope): Promise<PlainUpstream> {
  let upstream = answering(await startUpstream(null))
  const { origin, port } = upstream
  t.teardown(() => upstream.close())
  return {
    origin,
    kill: () => upstream.close(),
    start: async () => {
      upstream = answering(await startUpstream(null, { port }))
    },
    closeIdleConnections: () => upstream.closeIdleConnections()
  }
}

function answering(upstream: Upstream): Upstream {
  upstream.respond = (request, response) => {
    // It remembers every request.
    ;(upstream.received as unknown[]).length = 0
    const told = { userId: request.headers['x-user-id'] ?? '', role: request.headers['x-user-roles'] ?? '' }
    request.resume()
    request.on('end', () => response.end(JSON.stringify(told)))
  }
  return upstream
}

/** An event stream that goes on until somebody ends it. */
function stream(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write('data: first\n\n')
  const timer = setInterval(() => response.write('data: next\n\n'), 500)
  response.on('close', () => clearInterval(timer))
}
