/**
 * First stage of the forward-auth door: which request does the proxy in front ask about?
 *
 *   Traefik, Caddy   X-Forwarded-Method, X-Forwarded-Uri
 *   nginx            X-Original-Method, X-Original-URI, or X-Original-URL with scheme and host
 *   Envoy            its own method, and the target behind /.gateway/verify
 *
 *   writes  exchange.method, .target, .host
 *   throws  ROUTE_NOT_FOUND for everybody but trusted proxies, BAD_REQUEST
 *
 * A proxy sets its own pair and hands on what a client wrote into the other one, so a pair must be complete and all
 * of them must agree: whichever the proxy set, nothing else can have decided (CVE-2026-40575, CVE-2026-76835).
 */
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { isHost } from '../edge/header-section.js'
import { GatewayError } from '../errors.js'
import { PROXIED } from './fallthrough.js'

export const DOOR = '/.gateway/verify'

const KNOWN_METHODS = new Set(PROXIED)
const ABSOLUTE = /^https?:\/\/([^/?#]+)([^#]*)$/i

interface Asked {
  readonly method: string
  readonly target: string
  /** Null: what reaches us with the question, X-Forwarded-Host or Host. */
  readonly host: string | null
}

const readForwardedPlugin: FastifyPluginAsync = async scope => {
  scope.addHook('onRequest', function readForwarded(request, _reply, done) {
    const { exchange } = request
    // Whoever may write what is decided on may go anywhere.
    if (!exchange.trustedPeer) throw new GatewayError('ROUTE_NOT_FOUND', { reason: 'untrusted_peer' })
    const { method, target, host } = theOne([xForwarded(request), xOriginal(request), behindTheDoor(request)])
    if (!KNOWN_METHODS.has(method)) throw malformed('forwarded_method')
    if (host !== null && headerOf(request, 'x-forwarded-host') !== null && host !== exchange.host) {
      throw malformed('forwarded_disagree')
    }
    // Two lines of one name arrive as a list, and a list would match the routes of no host.
    if (!isHost(host ?? exchange.host)) throw malformed('forwarded_host')
    exchange.method = method
    exchange.target = target
    exchange.host = host ?? exchange.host
    done()
  })
}

function xForwarded(request: FastifyRequest): Asked | null {
  return pair(headerOf(request, 'x-forwarded-method'), headerOf(request, 'x-forwarded-uri'))
}

function xOriginal(request: FastifyRequest): Asked | null {
  const method = headerOf(request, 'x-original-method')
  const uri = headerOf(request, 'x-original-uri')
  const url = headerOf(request, 'x-original-url')
  if (url === null) return pair(method, uri)
  const [, host = null, rest = null] = ABSOLUTE.exec(url) ?? []
  const target = rest?.startsWith('/') === false ? `/${rest}` : rest
  if (uri !== null && uri !== target) throw malformed('forwarded_disagree')
  return pair(method, target, host)
}

function behindTheDoor({ raw: { url = '', method = '' } }: FastifyRequest): Asked | null {
  return url.startsWith(`${DOOR}/`) ? { method, target: url.slice(DOOR.length), host: null } : null
}

/** Null when neither half is there. A half alone: the other one would be whatever the client says. */
function pair(method: string | null, target: string | null, host: string | null = null): Asked | null {
  if (method === null && target === null) return null
  if (method === null || target === null) throw malformed('forwarded_incomplete')
  return { method, target, host }
}

function theOne(told: readonly (Asked | null)[]): Asked {
  const [first, ...others] = told.filter(asked => asked !== null)
  if (first === undefined) throw malformed('forwarded_missing')
  for (const { method, target } of others) {
    if (method !== first.method || target !== first.target) throw malformed('forwarded_disagree')
  }
  return others.find(({ host }) => host !== null) ?? first
}

function headerOf({ raw: { headers } }: FastifyRequest, name: string): string | null {
  const value = headers[name]
  return value === undefined ? null : String(value)
}

function malformed(reason: string): GatewayError {
  return new GatewayError('BAD_REQUEST', { reason })
}

export const readForwarded = fp(readForwardedPlugin, {
  name: 'read-forwarded',
  fastify: '5.x',
  dependencies: ['begin']
})
