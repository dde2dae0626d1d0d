/** An upstream that takes everything and answers nothing has its share of the gateway and no more (K21, issue 4). */
import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import t from 'tap'
import { eventually } from '../support/eventually.js'
import { get, startGateway } from '../support/gateway.js'
import { startUpstream } from '../support/upstream.js'

const UNDER_WAY = 1024
const WAITING = 1024
const TOO_MANY = 20
const AT_ONCE = 64

t.test('so many calls, so many that wait, and 503 for the rest; the other upstream notices nothing', async t => {
  const slow = await startUpstream(t)
  slow.respond = asked => void asked.resume()
  const gateway = await startGateway(t, {
    redis: false,
    yaml: `
upstreams:
  slow: { targets: ['${slow.origin}'], timeout: { connect: 1m, headers: 1m } }
  other: { targets: [$UPSTREAM] }
routes:
  - { name: slow, path: /slow, upstream: slow, access: public }
  - { name: other, path: /other, upstream: other, access: public }
`
  })
  const asked: ClientRequest[] = []
  const answers: IncomingMessage[] = []
  t.teardown(() => asked.forEach(each => each.destroy()))
  const ask = async (): Promise<void> => {
    const sent = request({ port: gateway.port, host: '127.0.0.1', path: '/slow', agent: false })
    asked.push(sent.on('error', () => {}).on('response', answer => answers.push(answer.resume())))
    sent.end()
    await once(sent, 'finish')
  }
  while (asked.length < UNDER_WAY + WAITING + TOO_MANY) {
    const left = UNDER_WAY + WAITING + TOO_MANY - asked.length
    await Promise.all(Array.from({ length: Math.min(left, AT_ONCE) }, ask))
  }
  await eventually(() => answers.length >= TOO_MANY, 'the rest is refused')

  t.equal(slow.received.length, UNDER_WAY)
  t.equal(answers.length, TOO_MANY)
  t.ok(answers.every(({ statusCode, headers }) => statusCode === 503 && headers['retry-after'] === '1'))
  const refused = gateway.log.filter(({ status }) => status === 503)
  t.ok(refused.length > 0 && refused.every(({ reason }) => reason === 'queue_full'))
  for (let i = 0; i < 20; i++) t.equal((await get(gateway, '/other')).status, 200)

  slow.respond = null
  for (const each of asked) each.destroy()
  await eventually(() => slow.connections.open === 0, 'nothing is left under way')
  t.equal((await get(gateway, '/slow')).status, 200, 'and it is itself again')
})
