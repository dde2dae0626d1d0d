/**
 * A Fastify request as the web Request Better Auth takes. Its URL starts with the configured base URL, never
 * with Host; the only address it finds is the one the gateway believes in; and it sees at most one credential,
 * the same one that the routes behind the gateway would judge.
 */
import type { FastifyRequest } from 'fastify'
import { GatewayError } from '../errors.js'
import type { Credential, CredentialReader } from '../session/credential.js'
import { bodyOf } from './auth-body.js'
import { AUTH_MOUNT } from './auth-target.js'

export interface AuthRequestOptions {
  readonly baseUrl: string
  readonly sessionCookieName: string
  readonly readCredential: CredentialReader
  /** `token.signature` with the newest secret, the only one Better Auth verifies. */
  readonly signToken: (token: string) => string
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

export function toWebRequest(request: FastifyRequest, credential: Credential, options: AuthRequestOptions): Request {
  const { endpoint, search } = request.authTarget
  const body = bodyOf(request)
  try {
    return new Request(`${options.baseUrl}${AUTH_MOUNT}${endpoint}${search}`, {
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
  offer(credential, headers, options)
  return headers
}

/** Better Auth prefers the bearer, the gateway the cookie; with one of them gone they agree. */
function offer(credential: Credential, headers: Headers, { sessionCookieName, signToken }: AuthRequestOptions): void {
  if (credential.kind === 'none') return
  if (credential.source === 'cookie') headers.delete('authorization')
  if (credential.kind !== 'token') return
  // Signed anew: the secret that signed it may be an older one, which Better Auth no longer knows.
  const signed = signToken(credential.token)
  if (credential.source === 'bearer') headers.set('authorization', `Bearer ${signed}`)
  else headers.set('cookie', withCookie(headers.get('cookie') ?? '', sessionCookieName, encodeURIComponent(signed)))
}

function withCookie(header: string, name: string, value: string): string {
  const others = header.split(';').filter(pair => pair.trim() !== '' && pair.split('=', 1)[0]?.trim() !== name)
  return [`${name}=${value}`, ...others.map(pair => pair.trim())].join('; ')
}
