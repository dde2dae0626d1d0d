/**
 * The service behind every gate: 200 bytes of JSON, the same for everybody.
 * With `?identity` it answers whom it was told of instead, so that a scenario is proven before it is measured.
 */
import { createServer } from 'node:http'

const answer = Buffer.from(JSON.stringify({ order: 7, note: 'x'.repeat(178) }))
const headers = { 'content-type': 'application/json', 'content-length': answer.length }

const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  if (request.url.endsWith('?identity')) sendIdentity(request, response)
  else response.writeHead(200, headers).end(answer)
})

function sendIdentity(request, response) {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ userId: request.headers['x-user-id'] ?? null }))
}

server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
process.on('disconnect', () => process.exit())
