/**
 * The smallest server that does what the pipeline's last stage does: headers, relay, error reply. Nothing else of the
 * gateway.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { UpstreamConfig } from '../../src/config/gateway-file.js'
import { identityHeaders } from '../../src/identity/identity-headers.js'
import type { Session } from '../../src/session/session.js'
import { relay } from '../../src/upstream/relay.js'
import type { RelayOutcome } from '../../src/upstream/relay-request.js'
import { type RequestFacts, requestFields } from '../../src/upstream/request-headers.js'
import type { AnswerPolicy } from '../../src/upstream/response-headers.js'
import { SessionCookies } from '../../src/upstream/session-cookies.js'
import type { TargetChange } from '../../src/upstream/upstream-events.js'
import { Upstreams } from '../../src/upstream/upstreams.js'

export interface ProxyOptions {
  readonly upstream?: Partial<UpstreamConfig>
  readonly session?: Session
  readonly facts?: Partial<RequestFacts>
  readonly policy?: Partial<AnswerPolicy>
  /** Called when a request was handed to its upstream, and nothing of it has left yet. */
  readonly inSameTurn?: () => void
}

export interface Proxy {
  readonly port: number
  /** How the requests ended, in the order they did. */
  readonly outcomes: readonly RelayOutcome[]
  /** Targets that went out or came back. */
  readonly changes: readonly TargetChange[]
  /** The upstream's name, for each call made again. */
  readonly retried: readonly string[]
  /** Resolves when so many requests have ended. */
  ended: (count: number) => Promise<readonly RelayOutcome[]>
  /** Connections of clients open now. */
  readonly openConnections: () => Promise<number>
}

type Scope = { teardown: (fn: () => unknown) => unknown }

export function upstreamConfig(overrides: Partial<UpstreamConfig> = {}): UpstreamConfig {
  return {
    name: 'echo',
    targets: [],
    internalKey: null,
    audience: null,
    connectTimeoutMs: 1000,
    headersTimeoutMs: 5000,
    idleTimeoutMs: 5000,
    retries: 0,
    health: null,
    maxBodyBytes: null,
    maxSockets: 100,
    tls: null,
    ...overrides
  }
}

export async function startProxy(t: Scope, origin: string, options: ProxyOptions = {}): Promise<Proxy> {
  const changes: TargetChange[] = []
  const retried: string[] = []
  const config = upstreamConfig({ targets: [origin], ...options.upstream })
  const upstreams = new Upstreams([config], {
    onChange: change => changes.push(change),
    onRetry: upstream => retried.push(upstream)
  })
  const sessionCookies = new SessionCookies('better-auth.session_token')
  const outcomes: RelayOutcome[] = []
  const waiting: (() => void)[] = []

  function forward(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void {
    const upstream = upstreams.get('echo')
    const fields = requestFields({
      rawHeaders: request.rawHeaders,
      trustedPeer: false,
      peerAddress: '192.0.2.7',
      forwardedFor: '',
      host: request.headers.host ?? '',
      proto: 'http',
      ourName: 'gw.test',
      requestId: 'request-1',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      tracestate: null,
      sessionCookies,
      dropAuthorization: false,
      authorization: upstream.authorization,
      identity: options.session === undefined ? [] : identityHeaders(options.session),
      assertion: null,
      ...options.facts
    })
    const policy: AnswerPolicy = {
      added: ['X-Request-ID', 'request-1'],
      authenticated: options.session !== undefined,
      carriesCredential: false,
      ownsCors: false,
      sessionCookies,
      ownAuthorities: upstream.authorities,
      stripPrefix: null,
      routePath: '/*',
      ...options.policy
    }
    const path = request.url ?? '/'
    relay(
      { request, response, upstream, path, fields, policy, awaitsContinue, onStream: watchNothing, onSwitch: null },
      outcome => {
        outcomes.push(outcome)
        if (outcome.end === 'failed' && outcome.error !== null) {
          const { statusCode, code, headers } = outcome.error
          const body = JSON.stringify({ code })
          response.writeHead(statusCode, {
            ...headers,
            'content-type': 'application/json',
            'content-length': body.length
          })
          response.end(body)
        }
        for (const wake of waiting.splice(0)) wake()
      }
    )
    options.inSameTurn?.()
  }

  const server = createServer((request, response) => forward(request, response, false))
  server.on('checkContinue', (request, response) => forward(request, response, true))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(async () => {
    server.close()
    server.closeAllConnections()
    await upstreams.close()
  })

  return {
    port: (server.address() as AddressInfo).port,
    outcomes,
    changes,
    retried,
    ended: async count => {
      while (outcomes.length < count) {
        await new Promise<void>(resolve => {
          waiting.push(resolve)
        })
      }
      return outcomes
    },
    openConnections: () =>
      new Promise((resolve, reject) => {
        server.getConnections((error, count) => (error ? reject(error) : resolve(count)))
      })
  }
}

function watchNothing(): () => void {
  return () => {}
}
