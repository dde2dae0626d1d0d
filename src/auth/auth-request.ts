/**
 * A Fastify request as the web Request Better Auth takes. Its URL starts with the configured base URL, never
 * with Host; the only address it finds is the one the gateway believes in; and it sees at most one credential,
 * the same one that the routes behind the gateway would judge.
 */
import type { FastifyRequest } from 'fastify'
import type { AuthSecret, Env } from '../config/env.js'
import { AUTH_MOUNT } from '../config/own-paths.js'
import { GatewayError } from '../errors.js'
import { type Credential, signToken } from '../session/credential.js'
import { bodyOf } from './auth-body.js'
import type { Auth } from './better-auth.js'
import type { OlderSignatures } from './older-signatures.js'

export interface AuthRequestOptions {
  readonly env: Pick<Env, 'baseUrl'>
  /** Newest first: Better Auth verifies by that one alone. */
  readonly secrets: readonly AuthSecret[]
  readonly auth: Auth
  readonly olderSignatures: OlderSignatures
}

/** Framing belongs to this connection (RFC 9110 section 7.6.1); addresses are ours to say. */
const DROPPED = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'content-length',
  'host',
  'forwarded',
  'x-real-ip'
])

/** The one link whose token is signed by the secret; those of the others are rows. */
const VERIFY = '/verify-email'

export function toWebRequest(request: FastifyRequest, credential: Credential, options: AuthRequestOptions): Request {
  const { endpoint } = request.authTarget
  const search =
    endpoint === VERIFY ? options.olderSignatures.link(request.authTarget.search) : request.authTarget.search
  const body = bodyOf(request)
  try {
    return new Request(`${options.env.baseUrl}${AUTH_MOUNT}${endpoint}${search}`, {
      method: request.method,
      headers: headersOf(request, credential, options),
      ...(body !== null && { body: new Uint8Array(body) })
    })
  } catch (cause) {
    // A GET with a body, a header value that fetch does not take.
    throw new GatewayError('BAD_REQUEST', { reason: 'not_a_web_request', cause })
  }
}

function headersOf(request: FastifyRequest, credential: Credential, options: AuthRequestOptions): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(request.headers)) {
    if (value === undefined || DROPPED.has(name) || name.startsWith('x-forwarded-')) continue
    headers.set(name, Array.isArray(value) ? value.join(', ') : value)
  }
  headers.set('x-forwarded-for', request.exchange.clientAddress)
  // The browser's own word counts as much here as on the routes behind the gateway (contract section 5, R44).
  const site = headers.get('sec-fetch-site')
  if (!headers.has('origin') && (site === 'same-origin' || site === 'none')) headers.set('origin', options.env.baseUrl)
  const cookies = headers.get('cookie')
  if (cookies !== null) headers.set('cookie', options.olderSignatures.cookies(cookies))
  offer(credential, headers, options)
  return headers
}

/** Better Auth prefers the bearer, the gateway the cookie; with one of them gone they agree. */
function offer(credential: Credential, headers: Headers, { auth, secrets }: AuthRequestOptions): void {
  if (credential.kind === 'none') return
  if (credential.source === 'cookie') headers.delete('authorization')
  if (credential.kind !== 'token') return
  // Signed anew: the secret that signed it may be an older one, which Better Auth no longer knows.
  const signed = signToken(credential.token, secrets[0]?.value ?? '')
  const { name } = auth.context.authCookies.sessionToken
  if (credential.source === 'bearer') headers.set('authorization', `Bearer ${signed}`)
  else headers.set('cookie', withCookie(headers.get('cookie') ?? '', name, encodeURIComponent(signed)))
}

function withCookie(header: string, name: string, value: string): string {
  const others = header.split(';').filter(pair => pair.trim() !== '' && pair.split('=', 1)[0]?.trim() !== name)
  return [`${name}=${value}`, ...others.map(pair => pair.trim())].join('; ')
}
