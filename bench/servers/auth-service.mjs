/** Better Auth in a process of its own, as its documentation mounts it on Node's server. */
import { createServer } from 'node:http'
import { toNodeHandler } from 'better-auth/node'
import { auth } from './better-auth-options.mjs'

const server = createServer({ keepAliveTimeout: 60_000 }, toNodeHandler(auth))
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
process.on('disconnect', () => process.exit())
