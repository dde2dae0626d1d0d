/**
 * Better Auth on `/api/auth/*`, in a scope of its own: raw bodies, our address and origin, our limits, and an
 * answer only when it is true. The order of one request:
 *
 *   canonical path, alias · limit per address · body · limit per account · Better Auth · rows gone? ·
 *   every revocation applied to the cache · answer
 */
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Env } from '../config/env.js'
import { GatewayError } from '../errors.js'
import type { Credential, CredentialReader } from '../session/credential.js'
import { type Answer, checkAnswer, checkRedirect, RETRY_AFTER, readAnswer, sendAnswer } from './auth-answer.js'
import { keepBodies } from './auth-body.js'
import { causeOf } from './auth-cause.js'
import { type AuthEvent, eventOf, outcomeOf } from './auth-events.js'
import { type AuthRequestOptions, toWebRequest } from './auth-request.js'
import { AUTH_MOUNT, type AuthTarget, readAuthTarget } from './auth-target.js'
import type { Auth } from './better-auth.js'
import { type DebugOptions, debugRoute } from './debug-routes.js'
import { type Handling, newHandling, runHandling } from './handling.js'
import { promiseGone, type SessionRows } from './honest-revoke.js'
import { type LoginLimitOptions, limitLogins } from './login-limit.js'

export interface AuthRoutesOptions extends AuthRequestOptions, LoginLimitOptions, DebugOptions {
  readonly env: Env
  readonly auth: Auth
  readonly readCredential: CredentialReader
  readonly rows: SessionRows
  /** Applies every committed revocation on every node's cache; rejects when it cannot. */
  readonly settle: () => Promise<void>
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
  keepBodies(scope, budgetMs)
  scope.decorateRequest('authTarget', null as unknown as AuthTarget)
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
    handler: (request, reply) => answer(request, reply, options, budgetMs)
  })
}

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  options: AuthRoutesOptions,
  budgetMs: number
): Promise<FastifyReply> {
  const handling = newHandling(causeOf(request.method, request.authTarget.endpoint))
  request.authHandling = handling
  const work = handle(request, handling, options)
  const result = await withinBudget(work, budgetMs)
  request.exchange.granted = result.status < 400
  return sendAnswer(result, reply)
}

async function handle(request: FastifyRequest, handling: Handling, options: AuthRoutesOptions): Promise<Answer> {
  const { env, auth, rows, settle, readCredential } = options
  const { endpoint } = request.authTarget
  const credential: Credential = readCredential(request.raw)
  const makeSure = request.method === 'POST' ? await promiseGone(endpoint, credential, request.authFields, rows) : null

  const webRequest = toWebRequest(request, credential, options)
  const response = await runHandling(handling, () => auth.handler(webRequest)).catch(broken)
  const result = await readAnswer(response)
  if (result.status < 400) await makeSure?.(handling)
  checkAnswer(result, handling)
  checkRedirect(result, endpoint, env.baseUrl, [env.baseUrl, ...env.corsOrigins])
  if (result.status < 400 && mayChangeState(request.method, endpoint)) await settle()
  return result
}

/** GETs that only look. Anything else may have changed something: a link in a mail, a callback, a plugin's own. */
const LOOKS = new Set([
  '/get-session',
  '/list-sessions',
  '/list-accounts',
  '/account-info',
  '/ok',
  '/error',
  '/token',
  '/jwks',
  '/reference',
  '/open-api/generate-schema',
  '/admin/get-user',
  '/admin/list-users'
])

function mayChangeState(method: string, endpoint: string): boolean {
  return method === 'GET' ? !LOOKS.has(endpoint) : method !== 'HEAD' && method !== 'OPTIONS'
}

/** Better Auth answers its own errors; when it rejects, it is not up. */
function broken(cause: unknown): never {
  throw new GatewayError('AUTH_SERVICE_UNAVAILABLE', { reason: 'better_auth_rejected', cause, headers: RETRY_AFTER })
}

/** What goes on behind a 503 may still succeed; the client only learns that nobody knows. */
async function withinBudget<T>(work: Promise<T>, budgetMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new GatewayError('AUTH_SERVICE_UNAVAILABLE', { reason: 'too_slow', headers: RETRY_AFTER }))
    }, budgetMs)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
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
