/**
 * The public listener: Fastify as host of everything, put together in the order a request meets it.
 * What the stages need comes in as options, so every wire is visible here and in app.ts.
 */
import type { Socket } from 'node:net'
import Fastify, { type FastifyInstance, LogController } from 'fastify'
import { type AuthRoutesOptions, authRoutes } from './auth/auth-routes.js'
import { type JwksRoutesOptions, jwksRoutes } from './auth/jwks-routes.js'
import { type AccessLogOptions, accessLog } from './edge/access-log.js'
import { type BeginOptions, begin } from './edge/begin.js'
import { answerClientError } from './edge/client-error.js'
import { allowCrossOrigin } from './edge/cross-origin.js'
import { replyWithErrors, sendError, toGatewayError } from './edge/error-reply.js'
import { awaitsContinue } from './edge/header-section.js'
import { type HealthCheck, publicHealth } from './edge/health.js'
import { guardAgainstOverload } from './edge/overload.js'
import { type ReplyHeadersOptions, replyHeaders } from './edge/reply-headers.js'
import { createTargetRewriter } from './edge/request-target.js'
import { acceptUpgrades, UpgradableMessage } from './edge/upgrades.js'
import { type GatewayOptions, gateway } from './pipeline/gateway.js'
import { verify } from './pipeline/verify.js'
import { hostName } from './routes/own-hosts.js'

export interface PublicListenerOptions
  extends Omit<BeginOptions, 'overload'>,
    AccessLogOptions,
    ReplyHeadersOptions,
    JwksRoutesOptions,
    GatewayOptions {
  readonly corsOrigins: readonly string[]
  /** Filled with the connections that are no longer HTTP's. */
  readonly upgraded: Set<Socket>
  readonly checkHealth: HealthCheck
  /** Of ours on this machine: they share its memory. */
  readonly processes: number
  /** Null in attached mode: `/api/auth/*` is then a route like any other, or none. */
  readonly authRoutes: AuthRoutesOptions | null
}

/** Load balancers keep connections for 60 s; who closes first must be them. */
const KEEP_ALIVE_MS = 65_000
/** Time for a complete header section. A body may take as long as it flows. */
const HEADERS_MS = 10_000
/** How often Node looks for connections past that time. */
const CHECK_EVERY_MS = 1_000
const MAX_HEADER_BYTES = 16_384

export async function createPublicListener(options: PublicListenerOptions): Promise<FastifyInstance> {
  const app = createHost(options)
  const overload = guardAgainstOverload(options.processes, options.metrics, options.log)
  app.addHook('onClose', async () => overload.stop())
  // Before anything refuses, or what `begin` refuses would leave no line.
  await app.register(accessLog, options)
  await app.register(begin, { ...options, overload })
  await app.register(replyHeaders, options)
  // Without a list of origins CORS is the upstreams' own business, preflights included.
  if (options.ownsCors) await allowCrossOrigin(app, options.corsOrigins)
  replyWithErrors(app)
  continueBeforeParsing(app)

  publicHealth(app, options.checkHealth)
  await app.register(jwksRoutes, options)
  if (options.authRoutes !== null) await app.register(authRoutes, options.authRoutes)
  await app.register(verify, options)
  await app.register(gateway, options)
  return app
}

function createHost({ log, answersFor, upgraded }: PublicListenerOptions): FastifyInstance {
  const app = Fastify({
    // With a logger Fastify makes a child of it for every request and listens for the end of every answer, to say
    // nothing in the end: 1 µs (2026-11-21). `giveLog` brings ours.
    logger: false,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => '',
    rewriteUrl: createTargetRewriter(authority => answersFor(hostName(authority))),
    clientErrorHandler: answerClientError,
    frameworkErrors: (error, request, reply) => {
      sendError(toGatewayError(error), request, reply)
    },
    // `begin` says DRAINING in the contract's words.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: 0,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: MAX_HEADER_BYTES, querystringParser: () => ({}) },
    http: {
      IncomingMessage: UpgradableMessage,
      // `begin` refuses a missing Host in the contract's words.
      requireHostHeader: false,
      headersTimeout: HEADERS_MS,
      connectionsCheckingInterval: CHECK_EVERY_MS,
      maxHeaderSize: MAX_HEADER_BYTES
    }
  })
  app.addHook('onRequest', function giveLog(request, reply, done) {
    request.log = log
    reply.log = log
    done()
  })
  // Node would drop lines past its limit without a word; `begin` counts them.
  app.server.maxHeadersCount = 0
  // No 100 (Continue) before the check has passed: whoever reads the body sends it.
  app.server.on('checkContinue', (request, response) => app.server.emit('request', request, response))
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
  // Without a listener Node hangs up on CONNECT without a word.
  app.server.on('connect', (_request, socket: Socket) => answerClientError(new Error('CONNECT'), socket))
  acceptUpgrades(app, upgraded)
  return app
}

/** Proxied bodies never come here: this is for our own routes, once nothing stands against reading theirs. */
function continueBeforeParsing(app: FastifyInstance): void {
  app.addHook('preParsing', function sendContinue({ raw }, reply, payload, done) {
    if (awaitsContinue(raw)) reply.raw.writeContinue()
    done(null, payload)
  })
}
