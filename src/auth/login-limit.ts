/**
 * The brake on guessing passwords (contract section 7): per client address before the body is read, per
 * account once it is. A success gives nothing back: who guessed right on the fifth try has still tried five
 * times. Only POST counts, and counts the same in every spelling of the path, because the canonical one is asked.
 *
 *   reads   request.authTarget, exchange.clientAddress, request.authFields
 *   writes  RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10)
 *   throws  RATE_LIMITED 429 with Retry-After
 */
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { AuthSecret, Env } from '../config/env.js'
import { addressKey } from '../edge/client-address.js'
import { tellLimit } from '../edge/limit-headers.js'
import { limitStore, type SharedCounter } from '../edge/limit-store.js'
import { GatewayError } from '../errors.js'
import { accountKey } from './login-key.js'

export interface LoginLimitOptions {
  readonly env: Pick<Env, 'loginLimitIp' | 'loginLimitAccount'>
  /** The newest one keys the hash of the account. */
  readonly secrets: readonly AuthSecret[]
  /** Counts across nodes; null without Redis. */
  readonly sharedCounter: SharedCounter | null
  /** `login_ip` or `login_account`, once per refusal. */
  readonly onLimited: (limit: string) => void
}

const LIMITED = new Set(['/request-password-reset', '/forget-password', '/reset-password', '/send-verification-email'])
const LIMITED_BELOW = ['/sign-in/', '/sign-up/', '/two-factor/']

export function isLoginAttempt(method: string, endpoint: string): boolean {
  // Better Auth answers 404 to a trailing slash; it counts all the same.
  const path = endpoint.replace(/\/+$/, '')
  return method === 'POST' && (LIMITED.has(path) || LIMITED_BELOW.some(prefix => path.startsWith(prefix)))
}

/** Adds its two hooks to the scope of the auth routes, after the one that sets `request.authTarget`. */
export async function limitLogins(scope: FastifyInstance, options: LoginLimitOptions): Promise<void> {
  const { env, sharedCounter, onLimited } = options
  const secret = options.secrets[0]?.value ?? ''
  // A second registration would quietly keep the first one's store.
  if (scope.hasDecorator('createRateLimit')) throw new Error('@fastify/rate-limit is registered further up')
  await scope.register(rateLimit, { global: false, store: limitStore(sharedCounter) })

  const perAddress = scope.createRateLimit({
    max: env.loginLimitIp.max,
    timeWindow: env.loginLimitIp.windowMs,
    keyGenerator: ({ exchange }) => `login:ip:${addressKey(exchange.clientAddress)}`
  })
  const perAccount = scope.createRateLimit({
    max: env.loginLimitAccount.max,
    timeWindow: env.loginLimitAccount.windowMs,
    keyGenerator: request => `login:account:${accountOf(request, secret)}`
  })

  scope.addHook('onRequest', async function limitLoginsByAddress(request, reply) {
    if (!isLoginAttempt(request.method, request.authTarget.endpoint)) return
    check(await perAddress(request), 'ip', reply, onLimited)
  })
  scope.addHook('preHandler', async function limitLoginsByAccount(request, reply) {
    if (!isLoginAttempt(request.method, request.authTarget.endpoint) || accountOf(request, secret) === null) return
    check(await perAccount(request), 'account', reply, onLimited)
  })
}

function accountOf(request: FastifyRequest, secret: string): string | null {
  return accountKey(request.authFields, secret)
}

type Verdict = Awaited<ReturnType<ReturnType<FastifyInstance['createRateLimit']>>>

function check(verdict: Verdict, name: string, reply: FastifyReply, onLimited: (limit: string) => void): void {
  // The other form of a verdict belongs to allow-lists, and there is none.
  if (verdict.isAllowed) return
  const retryAfter = tellLimit(reply, name, verdict)
  if (!verdict.isExceeded) return
  onLimited(`login_${name}`)
  throw new GatewayError('RATE_LIMITED', { reason: `login_${name}`, headers: { 'retry-after': retryAfter } })
}
