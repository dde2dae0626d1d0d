/** What a team writes next: the same proxy, and `auth.api.getSession` before every request. No log. */
import proxy from '@fastify/http-proxy'
import { fromNodeHeaders } from 'better-auth/node'
import Fastify from 'fastify'
import { auth } from './better-auth-options.mjs'

const app = Fastify({ logger: false })
app.decorateRequest('user', null)

await app.register(proxy, {
  upstream: process.env.UPSTREAM,
  undici: { connections: 128, pipelining: 1 },
  preHandler: async (request, reply) => {
    const found = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) })
    if (found === null) return reply.code(401).send({ error: 'Unauthorized' })
    request.user = found.user
  },
  replyOptions: {
    rewriteRequestHeaders: ({ user }, headers) => ({
      ...headers,
      'x-user-id': user.id,
      'x-user-email': user.email,
      'x-user-roles': user.role
    })
  }
})

await app.listen({ host: '127.0.0.1', port: 0 })
process.send({ port: app.server.address().port })
process.on('disconnect', () => process.exit())
