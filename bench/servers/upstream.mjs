/**
 * The service behind every gate: 200 bytes of JSON, the same for everybody. With `?identity` it answers whom it was
 * told of instead, so that a scenario is proven before it is measured. `/bytes` gives a mebibyte, or takes what is
 * posted; `/events` is a stream of events, to all who listen at the same moments.
 */
import { createServer } from 'node:http'

const EVENTS_PER_SECOND = 20

const answer = Buffer.from(JSON.stringify({ order: 7, note: 'x'.repeat(178) }))
const headers = { 'content-type': 'application/json', 'content-length': answer.length }
const mebibyte = Buffer.alloc(2 ** 20, 'x')
const listeners = new Set()

const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  if (request.url.endsWith('?identity')) sendIdentity(request, response)
  else if (request.method === 'POST') request.resume().once('end', () => response.writeHead(200, headers).end(answer))
  else if (request.url === '/bytes') response.writeHead(200, { 'content-length': mebibyte.length }).end(mebibyte)
  else if (request.url === '/events') listen(response)
  else response.writeHead(200, headers).end(answer)
})

function sendIdentity(request, response) {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ userId: request.headers['x-user-id'] ?? null }))
}

function listen(response) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  response.flushHeaders()
  listeners.add(response)
  response.once('close', () => listeners.delete(response))
}

let sequence = 0
setInterval(() => {
  const event = `data: ${JSON.stringify({ sequence: ++sequence, sent: Number(process.hrtime.bigint()) / 1e6 })}\n\n`
  for (const response of listeners) response.write(event)
}, 1_000 / EVENTS_PER_SECOND)

server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
process.on('disconnect', () => process.exit())
