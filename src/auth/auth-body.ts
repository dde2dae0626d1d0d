/** The body of a request to Better Auth: kept as bytes for it, and read here only to know whom it is about. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { GatewayError } from '../errors.js'

/** Room for an avatar as a data URL; far from enough to make parsing one a burden. */
const MAX_BODY_BYTES = 256 * 1024
const JSON_TYPE = /^application\/([a-z0-9.+-]*\+)?json/

declare module 'fastify' {
  interface FastifyRequest {
    /** The fields of the body as Better Auth is going to read them; null when it has none. */
    authFields: Readonly<Record<string, unknown>> | null
    authBodyTimer: NodeJS.Timeout | undefined
  }
}

/**
 * Bytes in, bytes out: Fastify's own JSON parser refuses what Better Auth takes, an empty body for one.
 * A body has `budgetMs` to arrive; the listener itself sets no end, because proxied bodies may flow for long.
 */
export function keepBodies(scope: FastifyInstance, budgetMs: number): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: MAX_BODY_BYTES }, (_request, body, done) => {
    done(null, body)
  })
  scope.decorateRequest('authFields', null)
  scope.decorateRequest('authBodyTimer')
  scope.addHook('preParsing', function endSlowBodies(request, reply, payload, done) {
    request.authBodyTimer = setTimeout(() => {
      if (!reply.sent) void reply.send(new GatewayError('BAD_REQUEST', { status: 408, reason: 'slow_body' }))
    }, budgetMs)
    done(null, payload)
  })
  scope.addHook('preValidation', function readAuthFields(request, _reply, done) {
    clearTimeout(request.authBodyTimer)
    request.authFields = fieldsOf(request)
    done()
  })
  scope.addHook('onResponse', function forgetBody(request, _reply, done) {
    clearTimeout(request.authBodyTimer)
    done()
  })
}

export function bodyOf({ body }: FastifyRequest): Buffer | null {
  return Buffer.isBuffer(body) && body.length > 0 ? body : null
}

/** Reads exactly as better-call does; a difference would be a way around the limit per account. */
function fieldsOf(request: FastifyRequest): Readonly<Record<string, unknown>> | null {
  const body = bodyOf(request)
  if (body === null) return null
  const type = String(request.headers['content-type'] ?? '').toLowerCase()
  // Not toString(): fetch drops a byte order mark, and so must we.
  const text = new TextDecoder().decode(body)
  if (JSON_TYPE.test(type)) return parseObject(text)
  if (type.includes('application/x-www-form-urlencoded')) return Object.fromEntries(new URLSearchParams(text))
  return null
}

function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}
