/**
 * Try-it mode: without a gateway.yaml there is still something to call. An echo upstream on a loopback
 * port shows exactly what a service behind the gateway receives, behind one route of each kind.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { AccessConfig, GatewayFile, RouteConfig, UpstreamConfig } from './config/gateway-file.js'

export interface TryIt {
  readonly gateway: GatewayFile
  close: () => Promise<void>
}

/** The routes of try-it mode. */
export const TRY_IT_ROUTES: readonly RouteConfig[] = [
  route('try-it-public', '/api/public/*', 'public'),
  route('try-it-admin', '/api/admin/*', { roles: ['admin'] }),
  route('try-it', '/api/*', 'session')
]

export async function startTryIt(): Promise<TryIt> {
  const server = createServer((request, response) => {
    const body = { youCalled: `${request.method} ${request.url}`, upstreamReceived: request.headers }
    response.writeHead(200, { 'content-type': 'application/json' })
    request.resume().on('end', () => response.end(`${JSON.stringify(body, null, 2)}\n`))
  })
  await new Promise<void>(resolve => server.listen({ port: 0, host: '127.0.0.1', exclusive: true }, resolve))
  const { port } = server.address() as AddressInfo

  return {
    gateway: {
      upstreams: [echoUpstream(`http://127.0.0.1:${port}`)],
      routes: TRY_IT_ROUTES,
      tests: [],
      placeOf: () => 'try-it mode'
    },
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

function echoUpstream(target: string): UpstreamConfig {
  return {
    name: 'echo',
    targets: [target],
    internalKey: null,
    audience: null,
    connectTimeoutMs: 2_000,
    headersTimeoutMs: 10_000,
    idleTimeoutMs: 30_000,
    retries: 0,
    health: null,
    maxBodyBytes: null,
    maxSockets: 100,
    tls: null
  }
}

function route(name: string, path: string, access: AccessConfig): RouteConfig {
  return {
    name,
    path,
    methods: null,
    host: null,
    upstream: 'echo',
    stripPrefix: null,
    access,
    consistency: 'cached',
    originCheck: true,
    redirectToPortal: false,
    rateLimit: null
  }
}
