/**
 * A target that leads back to the gateway, by mistake of a name or a port: the request must not go round for ever
 * (B28).
 */
import t from 'tap'
import { freePort } from '../../src/data/postgres-cluster.js'
import { get, migratedPostgres, startGateway } from '../support/gateway.js'
import { startUpstream } from '../support/upstream.js'

const [onePort, otherPort] = [await freePort(), await freePort()]
const postgres = await migratedPostgres(t)
const upstream = await startUpstream(t)
const base = { BETTER_AUTH_URL: 'http://localhost:8080' }
const one = await startGateway(t, {
  postgres,
  upstream,
  redis: false,
  env: { ...base, PORT: String(onePort) },
  yaml: `
upstreams:
  itself: { targets: ['http://127.0.0.1:${onePort}'] }
  other: { targets: ['http://127.0.0.1:${otherPort}'] }
  front: { targets: [$UPSTREAM] }
routes:
  - { name: self, path: /self/*, upstream: itself, access: public }
  - { name: round, path: /round/*, upstream: other, access: public }
  - { name: front, path: /front/*, upstream: front, access: public }
`
})
const other = await startGateway(t, {
  postgres,
  upstream,
  redis: false,
  env: { ...base, PORT: String(otherPort) },
  yaml: `
upstreams:
  one: { targets: ['http://127.0.0.1:${onePort}'] }
routes:
  - { name: round, path: /round/*, upstream: one, access: public }
`
})

const visits = (path: string) => [one, other].flatMap(({ log }) => log.filter(line => line['path'] === path))

t.test('a request that comes back to its gateway is let round once and ends as a 502', async t => {
  const response = await get(one, '/self/x')

  t.equal(response.status, 502)
  t.match(await response.json(), { code: 'UPSTREAM_UNREACHABLE' })
  t.strictSame(
    visits('/self/x').map(({ reason }) => reason),
    ['loop', null, null]
  )
})

t.test('nodes of one fleet know each other’s requests', async t => {
  t.equal((await get(one, '/round/x')).status, 502)
  t.equal(visits('/round/x').length, 3)
  t.equal(visits('/round/x').filter(({ reason }) => reason === 'loop').length, 1)
})

t.test('a front end behind the gateway that calls an API through it is no loop', async t => {
  upstream.respond = async (request, response) => {
    const headers = { 'cdn-loop': String(request.headers['cdn-loop']) }
    if (request.url === '/front/page') response.end(await (await get(one, '/front/api', headers)).text())
    else response.end(`heard by ${request.headers['cdn-loop']}`)
  }

  t.equal(await (await get(one, '/front/page')).text(), 'heard by localhost:8080, localhost:8080')
})

t.test('names of others on the way are handed on and count for nothing', async t => {
  upstream.respond = (request, response) => void response.end(String(request.headers['cdn-loop']))
  const told = 'cdn.example; localhost:8080, other-localhost:8080, a, a, a'

  t.equal(await (await get(one, '/front/x', { 'cdn-loop': told })).text(), `${told}, localhost:8080`)
})
