/** F0, what every ratio refers to: Fastify and @fastify/http-proxy, no authentication, no log. */
import proxy from '@fastify/http-proxy'
import Fastify from 'fastify'

const app = Fastify({ logger: false })
await app.register(proxy, { upstream: process.env.UPSTREAM, undici: { connections: 128, pipelining: 1 } })
await app.listen({ host: '127.0.0.1', port: 0 })
process.send({ port: app.server.address().port })
process.on('disconnect', () => process.exit())
