/**
 * Any error becomes the one reply shape of the contract: a superset of Better Auth's `{ code, message }`
 * and of `{ success, error, code }`, so that a client needs one parser for every door. RFC 9457 on request.
 * Nothing of an unknown error reaches the client: no message, no path, no address.
 */
import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ERRORS, GatewayError, whereabouts } from '../errors.js'
import { closeGently } from '../upstream/gentle-close.js'

const PROBLEM_JSON = 'application/problem+json'

export function replyWithErrors(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => {
    sendError(toGatewayError(error), request, reply)
  })
  app.setNotFoundHandler((request, reply) => {
    sendError(new GatewayError('ROUTE_NOT_FOUND'), request, reply)
  })
}

/** Fastify's own refusals keep their status where it is sharper than ours; all else unknown is a bug of ours. */
export function toGatewayError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error
  const { statusCode = 500, code } = (error ?? {}) as Partial<FastifyError>
  if (code === 'FST_ERR_BAD_URL') return new GatewayError('BAD_PATH', { reason: code })
  if (statusCode === 413) return new GatewayError('BODY_TOO_LARGE', { reason: code })
  if (statusCode >= 400 && statusCode < 500) {
    return new GatewayError('BAD_REQUEST', { reason: code, status: statusCode })
  }
  return new GatewayError('INTERNAL_ERROR', { cause: error })
}

export function sendError(error: GatewayError, request: FastifyRequest, reply: FastifyReply): void {
  // A request whose URL could not even be routed never began.
  if (!request.exchange || !wantsPortal(error, request)) return sendRefusal(error, request, reply)
  noteReason(error, request)
  void reply
    .code(302)
    .headers({ location: portalLocation(request.exchange), 'cache-control': 'no-store' })
    .send()
}

/** The error itself, wherever a browser would rather be sent to the portal. */
export function sendRefusal(error: GatewayError, request: FastifyRequest, reply: FastifyReply): void {
  const { exchange } = request
  noteReason(error, request)
  if (error.code === 'INTERNAL_ERROR')
    request.log.error({ requestId: exchange?.requestId, ...whereabouts(error.cause) }, 'internal error')

  const problem = String(request.headers.accept ?? '').includes(PROBLEM_JSON)
  // An upload that is refused is not read to its end: the connection goes instead, but not before the answer has
  // arrived.
  if (hasUnreadBody(request)) closeGently(request.raw, reply.raw)
  void reply
    .code(error.statusCode)
    .headers(error.headers)
    .header('cache-control', 'no-store')
    .type(problem ? PROBLEM_JSON : 'application/json; charset=utf-8')
    .serializer(JSON.stringify)
    .send(problem ? problemOf(error, exchange?.requestId) : bodyOf(error, exchange?.requestId))
}

function noteReason(error: GatewayError, { exchange }: FastifyRequest): void {
  if (exchange) exchange.reason = error.reason ?? error.code.toLowerCase()
}

function bodyOf(error: GatewayError, requestId: string | undefined) {
  return { success: false, code: error.code, error: error.message, message: error.message, requestId }
}

function problemOf(error: GatewayError, requestId: string | undefined) {
  const { code, statusCode, message } = error
  return {
    type: 'about:blank',
    title: STATUS_CODES[statusCode] ?? ERRORS[code].message,
    status: statusCode,
    detail: message,
    code,
    requestId
  }
}

/** Contract section 6: only browser navigations, and only where the route says so. */
function wantsPortal(error: GatewayError, request: FastifyRequest): boolean {
  return (
    error.statusCode === 401 &&
    request.exchange.route?.redirectToPortal === true &&
    request.method === 'GET' &&
    String(request.headers.accept ?? '').includes('text/html')
  )
}

function portalLocation({ path, search }: FastifyRequest['exchange']): string {
  return `/.gateway/?returnTo=${encodeURIComponent(path + search)}`
}

function hasUnreadBody({ raw }: FastifyRequest): boolean {
  const { headers } = raw
  return !raw.complete && (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0)
}
