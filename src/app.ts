/**
 * The composition root: opens what the gateway stands on, builds every room once, hands each what it needs,
 * and closes all of it in reverse. Nothing is looked up anywhere else.
 */
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { systemClock } from './clock.js'
import type { AppConfig } from './app-config.js'
import { createRouting } from './app-routing.js'
import type { GatewayFile } from './config/gateway-file.js'
import { createPeerReader } from './edge/client-address.js'
import { endStrangers, watchFingerprints } from './edge/fingerprint-watch.js'
import { checkHealthOf, type HealthCheck, type PartHealth } from './edge/health.js'
import { limitStore } from './edge/limit-store.js'
import { Metrics } from './edge/metrics.js'
import { allowedOrigins } from './edge/request-origin.js'
import { hostAuth } from './host-auth.js'
import { AssertionIssuer } from './identity/assertion.js'
import { KeyRing } from './identity/key-ring.js'
import { type Data, openData } from './open-data.js'
import { Opened } from './opened.js'
import { createPrivateListener } from './private-listener.js'
import { createPublicListener } from './public-listener.js'
import { createCredentialReader } from './session/credential.js'
import { SessionResolver } from './session/resolve-session.js'
import { SessionCookies } from './upstream/session-cookies.js'
import { Upstreams } from './upstream/upstreams.js'
import { upstreamEvents, upstreamLevels, upstreamsHealth } from './upstream-report.js'

export interface App {
  readonly publicListener: FastifyInstance
  readonly privateListener: FastifyInstance
  readonly checkHealth: HealthCheck
  /** Opens the public listener, and the private one unless another process has it (WORKERS). */
  listen: (options?: { readonly publicOnly: boolean }) => Promise<void>
  /** Another gateway.yaml in force from the next request on. Throws ConfigError and changes nothing. */
  reload: (gateway: GatewayFile) => void
  /** Tells load balancers to look elsewhere, lets running requests end, then closes everything. */
  close: () => Promise<void>
}

/**
 * In production the listener stays open so long after readiness is withdrawn: load balancers look every few seconds.
 */
const LOAD_BALANCER_MS = 3_000
/** Whoever is not done by then is cut off. */
const DRAIN_MS = 8_000

/** Throws ConfigError for a database the gateway cannot work with, and the driver's error for one that is away. */
export async function createApp(config: AppConfig, log: Logger): Promise<App> {
  const metrics = new Metrics()
  const opened = new Opened()
  try {
    const data = await openData(config, metrics, log)
    opened.add(data.close)
    return await buildApp(config, data, opened, metrics, log)
  } catch (error) {
    await opened.close()
    throw error
  }
}

async function buildApp(config: AppConfig, data: Data, opened: Opened, metrics: Metrics, log: Logger): Promise<App> {
  const { env } = config
  const phase = { draining: false, closing: false }
  const upgraded = new Set<Socket>()
  const canSign = data.shape.tables.jwks !== undefined
  let routing = createRouting(config.gateway, env, canSign, new Upstreams([], upstreamEvents(log, metrics)))
  opened.add(async () => routing.upstreams.close())
  const auth = await hostAuth(config, data, metrics, log)
  opened.add(auth.close)
  const readCredential = createCredentialReader({
    cookieName: auth.cookieName,
    secrets: config.secrets,
    bearerUnsigned: env.bearerUnsigned
  })
  const keyRing = new KeyRing(auth.loadKeys, systemClock)
  opened.add(async () => keyRing.stop())
  await keyRing.start()
  const signs = () => routing.gateway.upstreams.some(({ audience }) => audience !== null)
  const parts = {
    ...data.health,
    signingKey: async () => keyHealth(keyRing, signs()),
    upstreams: async () => upstreamsHealth(routing.upstreams.all)
  }
  metrics.upstreamLevels = () => upstreamLevels(routing.upstreams.all)
  const checkHealth = checkHealthOf(parts, () => phase.draining)

  const resolver = new SessionResolver({
    ...data,
    listener: (source, outcome, ms) => metrics.lookupDone(source, outcome, ms)
  })
  const fingerprints = watchFingerprints(env, data.store, metrics, log)
  const authRoutes = auth.routes?.(readCredential) ?? null

  const publicListener = await createPublicListener({
    log,
    metrics,
    readPeer: createPeerReader(env.trustedProxies),
    isClosing: () => phase.closing,
    processes: env.workers,
    isDraining: () => phase.draining,
    https: env.baseUrl.startsWith('https://'),
    corsOrigins: env.corsOrigins,
    answersFor: host => routing.answersFor(host),
    checkHealth,
    keyRing,
    authRoutes: authRoutes && {
      ...authRoutes,
      endStranger: endStrangers(fingerprints, resolver),
      renewing: auth.renewal && {
        renewal: auth.renewal,
        rotation: data.rotation,
        lookUp: token => resolver.resolve(token, true)
      }
    },
    routeTable: () => routing.table,
    readCredential,
    allowedOrigins: allowedOrigins(env),
    resolver,
    fingerprints,
    renewal: auth.renewal,
    rotation: data.rotation,
    databaseNow: data.clock.now,
    live: data.live,
    upgraded,
    routeLimits: limitStore(data.sharedCounter),
    upstreamOf: route => routing.upstreamOf(route),
    sessionCookies: new SessionCookies(auth.cookieName),
    assertions: new AssertionIssuer(env.baseUrl, keyRing, data.clock.now),
    ourName: new URL(env.baseUrl).host,
    publicProto: env.baseUrl.startsWith('https://') ? 'https' : 'http',
    ownsCors: env.corsOrigins.length > 0
  })
  const privateListener = createPrivateListener({ log, checkHealth, metrics })
  opened.add(() => privateListener.close())

  return {
    publicListener,
    privateListener,
    checkHealth,
    async listen({ publicOnly } = { publicOnly: false }) {
      if (!publicOnly) await privateListener.listen({ port: env.opsPort, host: env.opsHost })
      await publicListener.listen({ port: env.port, host: env.host })
    },
    reload(gateway) {
      routing = createRouting(gateway, env, canSign, routing.upstreams)
    },
    async close() {
      phase.draining = true
      if (env.production) await new Promise(resolve => setTimeout(resolve, LOAD_BALANCER_MS))
      phase.closing = true
      data.live.drain()
      await drain(publicListener, upgraded)
      await opened.close()
    }
  }
}

function keyHealth({ ready }: KeyRing, needed: boolean): PartHealth {
  if (ready) return { ok: true, needed, detail: 'ready' }
  return {
    ok: !needed,
    needed,
    detail: needed ? 'none: upstreams with an audience get no requests' : 'none, and none is needed'
  }
}

async function drain(listener: FastifyInstance, upgraded: ReadonlySet<Socket>): Promise<void> {
  const cutOff = setTimeout(() => {
    listener.server.closeAllConnections()
    for (const socket of upgraded) socket.destroy()
  }, DRAIN_MS)
  await listener.close()
  clearTimeout(cutOff)
}
