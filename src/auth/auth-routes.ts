/**
 * Better Auth on `/api/auth/*`, in a scope of its own: raw bodies, our address and origin, our limits, and an
 * answer only when it is true. The order of one request:
 *
 *   canonical path, alias · limit per address · body · limit per account · origin · Better Auth · rows gone? ·
 *   every revocation applied on every node · answer
 */
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { withDeadline } from '../clock.js'
import type { Env } from '../config/env.js'
import { AUTH_MOUNT } from '../config/own-paths.js'
import { allowedOrigins, isFromOurPage, SAFE_METHODS } from '../edge/request-origin.js'
import type { EndStranger } from '../edge/fingerprint-watch.js'
import { GatewayError } from '../errors.js'
import type { Credential, CredentialReader } from '../session/credential.js'
import { type Answer, checkAnswer, checkRedirect, RETRY_AFTER, readAnswer, sendAnswer } from './auth-answer.js'
import { keepBodies } from './auth-body.js'
import { causeOf } from './auth-cause.js'
import { type AuthEvent, eventOf, outcomeOf } from './auth-events.js'
import { type AuthRequestOptions, toWebRequest } from './auth-request.js'
import { type AuthTarget, readAuthTarget } from './auth-target.js'
import type { Auth } from './better-auth.js'
import { currentCredential, dropWhereSet, type Renewing } from './current-credential.js'
import { type DebugOptions, debugRoute } from './debug-routes.js'
import type { EndLater } from './end-later.js'
import { type Handling, newHandling, runHandling } from './handling.js'
import { revocationOf, type SessionRows } from './honest-revoke.js'
import { type LoginLimitOptions, limitLogins } from './login-limit.js'
import { mayChangeState } from './may-change-state.js'

export interface AuthRoutesOptions extends AuthRequestOptions, LoginLimitOptions, DebugOptions {
  readonly env: Env
  readonly auth: Auth
  readonly readCredential: CredentialReader
  readonly rows: SessionRows
  readonly endLater: EndLater
  /** Applies every committed revocation on every node's cache; rejects when it cannot. */
  readonly settle: () => Promise<void>
  /** Ends the session of this token if another browser than the one that began it uses it. */
  readonly endStranger?: EndStranger | null
  /** Null: tokens and signatures stay what they are. */
  readonly renewing?: Renewing | null
  readonly onEvent: (event: AuthEvent) => void
  /** What a body has to arrive, and then its answer to be made (R64). */
  readonly budgetMs?: number
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Null until Better Auth is asked. */
    authHandling: Handling | null
  }
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
const FIVE_SECONDS = 5_000

export const authRoutes: FastifyPluginAsync<AuthRoutesOptions> = async (scope, options) => {
  const { budgetMs = FIVE_SECONDS } = options
  const ours = allowedOrigins(options.env)
  keepBodies(scope, budgetMs)
  scope.decorateRequest('authTarget', null, [])
  scope.decorateRequest('authHandling', null)
  scope.addHook('onRequest', function readTarget(request, _reply, done) {
    request.authTarget = readAuthTarget(request)
    done()
  })
  await limitLogins(scope, options)
  debugRoute(scope, options)

  scope.addHook('onResponse', function recordEvent(request, reply, done) {
    record(request, reply, options.onEvent)
    done()
  })
  scope.route({
    method: METHODS,
    url: `${AUTH_MOUNT}/*`,
    handler: async (request, reply) => {
      const offered = options.readCredential(request.raw)
      checkOrigin(request, offered, ours)
      const answer = withDeadline(budgetMs, handle(request, offered, options), tooSlow)
      const result = await answer.finally(() => tellCaller(request))
      request.exchange.granted = result.status < 400
      dropWhereSet(request, result, options.auth.context.authCookies.sessionToken.name)
      return sendAnswer(result, reply)
    }
  })
}

/** For the access log: what Better Auth found out on its way, and nothing is asked for it. */
function tellCaller({ authHandling, exchange }: FastifyRequest): void {
  if (authHandling === null) return
  exchange.userId = authHandling.userId
  if (authHandling.asked) exchange.source = 'postgres'
}

/** Before anything is done for it: what a 503 leaves undone is done later, without Better Auth's own check. */
function checkOrigin({ method, headers }: FastifyRequest, credential: Credential, ours: ReadonlySet<string>): void {
  if (SAFE_METHODS.has(method) || credential.kind !== 'token' || credential.source !== 'cookie') return
  if (!isFromOurPage(headers, ours)) throw new GatewayError('ORIGIN_NOT_ALLOWED')
}

async function handle(request: FastifyRequest, offered: Credential, options: AuthRoutesOptions): Promise<Answer> {
  const { env, settle } = options
  const { method } = request
  const { endpoint } = request.authTarget
  const handling = newHandling(causeOf(method, endpoint))
  request.authHandling = handling
  const result = await askHonestly(request, offered, handling, options)
  // A refusal may have changed something too: one organisation that is not yours, and none is active any more.
  if (mayChangeState(method, endpoint) && (result.status < 400 || handling.wrote)) await settle()
  checkRedirect(result, endpoint, env.baseUrl, [env.baseUrl, ...env.corsOrigins])
  return result
}

/** What it answers below 400 is done; of what may not be, it throws, and has it done later. */
async function askHonestly(
  request: FastifyRequest,
  offered: Credential,
  handling: Handling,
  options: AuthRoutesOptions
): Promise<Answer> {
  const { auth, rows, endLater } = options
  const { method } = request
  const { endpoint } = request.authTarget
  const askedAt = performance.now()
  // Until it is known who asks, a sign-out is all that he may ask for.
  let revocation = revocationOf(method === 'POST' && endpoint === '/sign-out' ? endpoint : '', offered, null, rows)
  try {
    const credential = await callerOf(request, offered, options)
    if (credential.kind === 'token') handling.token = credential.token
    revocation = revocationOf(method === 'POST' ? endpoint : '', credential, request.authFields, rows)
    await revocation.prepare()
    const webRequest = toWebRequest(request, credential, options)
    const response = await runHandling(handling, () => auth.handler(webRequest)).catch(broken)
    const result = await readAnswer(response)
    if (result.status < 400 && mayChangeState(method, endpoint)) await revocation.makeSure(handling)
    checkAnswer(result, handling)
    return result
  } catch (error) {
    const unfinished = revocation.unfinished(handling)
    if (unfinished !== null && isOutage(error)) {
      endLater.add({ ending: unfinished, cause: handling.cause ?? 'revoke', askedAt })
    }
    throw error
  }
}

async function callerOf(
  request: FastifyRequest,
  offered: Credential,
  { renewing = null, endStranger }: AuthRoutesOptions
): Promise<Credential> {
  const credential = await currentCredential(request, offered, renewing)
  if (credential.kind === 'token') {
    await endStranger?.(credential.token, request.headers['user-agent'] ?? '', request.exchange.clientAddress)
  }
  return credential
}

function isOutage(error: unknown): boolean {
  return error instanceof GatewayError && error.code === 'AUTH_SERVICE_UNAVAILABLE'
}

/** Better Auth answers its own errors; when it rejects, it is not up. */
function broken(cause: unknown): never {
  throw new GatewayError('AUTH_SERVICE_UNAVAILABLE', { reason: 'better_auth_rejected', cause, headers: RETRY_AFTER })
}

/** What goes on behind it may still succeed; the client only learns that nobody knows. */
function tooSlow(): GatewayError {
  return new GatewayError('AUTH_SERVICE_UNAVAILABLE', { reason: 'too_slow', headers: RETRY_AFTER })
}

function record(request: FastifyRequest, reply: FastifyReply, onEvent: (event: AuthEvent) => void): void {
  const { authHandling, authFields, exchange } = request
  const target: AuthTarget | null = request.authTarget
  const event = target === null ? null : eventOf(request.method, target.endpoint)
  if (event === null) return
  const targetUserId = authFields?.userId
  const fact: AuthEvent = {
    event,
    outcome: outcomeOf(reply.statusCode, String(reply.getHeader('location') ?? '')),
    userId: authHandling?.userId ?? null,
    ...(typeof targetUserId === 'string' && { targetUserId: targetUserId.slice(0, 64) }),
    requestId: exchange.requestId,
    ip: exchange.clientAddress
  }
  request.log.info(fact)
  onEvent(fact)
}
