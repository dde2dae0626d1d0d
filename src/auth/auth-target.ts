/** Which endpoint of Better Auth a request means: canonical path, aliases resolved. */
import type { FastifyRequest } from 'fastify'
import { AUTH_MOUNT } from '../config/own-paths.js'
import { GatewayError } from '../errors.js'
import { canonicalPath } from '../routes/canonical-path.js'

export interface AuthTarget {
  /** Below the mount, with its slash: `/sign-in/email`. */
  readonly endpoint: string
  /** The query as it came, with its '?'. */
  readonly search: string
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the first hook of the auth routes; null before it and when it refuses the path. */
    authTarget: AuthTarget
  }
}

/** Names the customer's documents use for endpoints of Better Auth (R12, R13). */
const ALIASES: Readonly<Record<string, string>> = {
  '/session': '/get-session',
  '/signup': '/sign-up/email',
  '/signin': '/sign-in/email'
}

/** The link in a reset mail carries its token in the path, and the path is logged. */
const TOKEN_IN_PATH = /^(\/api\/auth\/reset-password\/).+/

/** Throws BAD_PATH: the mount must not be a tunnel to anything beside it. */
export function readAuthTarget(request: FastifyRequest): AuthTarget {
  const target = canonicalPath(request.raw.url ?? '')
  if (target === null) throw new GatewayError('BAD_PATH')
  const { path, search } = target
  request.exchange.path = path.replace(TOKEN_IN_PATH, '$1:token')
  request.exchange.search = search
  if (!path.startsWith(`${AUTH_MOUNT}/`)) throw new GatewayError('ROUTE_NOT_FOUND')
  const endpoint = path.slice(AUTH_MOUNT.length)
  return { endpoint: ALIASES[endpoint] ?? endpoint, search }
}
