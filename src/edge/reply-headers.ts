/**
 * What every answer the gateway itself makes carries; a proxied answer is the upstream's own and gets
 * only X-Request-ID, in `forward`.
 */
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'

export interface ReplyHeadersOptions {
  /** The public base URL is https: browsers may be told to stay there. */
  readonly https: boolean
  /** True from the first signal on: every answer asks the client to come back on another connection. */
  readonly isDraining: () => boolean
}

const replyHeadersPlugin: FastifyPluginAsync<ReplyHeadersOptions> = async (scope, { https, isDraining }) => {
  const fixed = {
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    ...(https && { 'strict-transport-security': 'max-age=31536000' })
  }

  scope.addHook('onSend', function replyHeaders(request, reply, _payload, done) {
    void reply.headers(fixed)
    if (request.exchange) {
      const { requestId, answerHeaders } = request.exchange
      void reply.header('x-request-id', requestId)
      for (let i = 0; i < answerHeaders.length; i += 2) reply.header(answerHeaders[i] as string, answerHeaders[i + 1])
    }
    if (!reply.hasHeader('content-security-policy')) {
      void reply.header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
    }
    if (isDraining()) void reply.header('connection', 'close')
    done()
  })
}

export const replyHeaders = fp(replyHeadersPlugin, { name: 'reply-headers', fastify: '5.x', dependencies: ['begin'] })
