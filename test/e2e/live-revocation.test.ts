/**
 * What is open when its session ends, ends with it (G3, H08, H09, D35): WebSockets with 4401, streams by a cut, within
 * 100 ms of the change reaching the node; everything else stays open.
 */
import { once } from 'node:events'
import { type ClientRequest, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import t from 'tap'
import { eventually } from '../support/eventually.js'
import { post, signIn, signUp, startGateway, type TestGateway, type TestUser } from '../support/gateway.js'
import { openSocket, type TestSocket } from '../support/websocket.js'
import { startSocketServer } from '../support/websocket-server.js'

const server = await startSocketServer(t)
server.respond = (request, response) => {
  const type = request.url?.includes('events') === true ? 'text/event-stream' : 'application/octet-stream'
  response.writeHead(200, { 'content-type': type })
  response.write('data: first\n\n')
  const timer = setInterval(() => response.write('data: next\n\n'), 20)
  response.on('close', () => clearInterval(timer))
}
const yaml = `
upstreams:
  chat: { targets: ['${server.origin}'] }
routes:
  - { name: admin, path: /ws/admin/*, upstream: chat, access: { roles: [admin] } }
  - { name: fresh, path: /ws/fresh/*, upstream: chat, access: { fresh: 1s } }
  - { name: ws, path: /ws/*, upstream: chat, access: session }
  - { name: maybe, path: /maybe/*, upstream: chat, access: optional }
  - { name: open, path: /open/*, upstream: chat, access: public }
`
const gateway = await startGateway(t, { yaml })
const { sql, origin } = gateway
const OVER = { code: 4401, reason: 'INVALID_SESSION' }

const open = ({ port }: TestGateway, path: string, { cookie }: { cookie: string }) =>
  openSocket(port, path, { cookie, origin })

async function isAlive(socket: TestSocket): Promise<boolean> {
  socket.send('alive?')
  return (await socket.next()).data.toString() === 'alive?'
}

interface Stream {
  readonly call: ClientRequest
  readonly answer: IncomingMessage
  /** 'end': complete; 'cut': not. */
  readonly over: Promise<'end' | 'cut'>
}

async function openStream({ port }: TestGateway, path: string, user: { cookie: string } | null): Promise<Stream> {
  const headers = user === null ? {} : { cookie: user.cookie }
  const call = httpRequest({ port, path, headers, agent: false })
  call.on('error', () => {})
  call.end()
  const [answer] = (await once(call, 'response')) as [IncomingMessage]
  answer.on('error', () => {}).resume()
  const over = new Promise<'end' | 'cut'>(resolve => {
    answer.once('close', () => resolve(answer.complete ? 'end' : 'cut'))
  })
  await once(answer, 'data')
  return { call, answer, over }
}

/** Between the line of the revocation and the end of what hung on it. */
async function lagOf(ends: Promise<unknown>, log: TestGateway['log']): Promise<number> {
  const before = log.length
  let reachedAt = 0
  const watch = eventually(() => {
    if (log.slice(before).some(({ event }) => event === 'revocation')) reachedAt ||= performance.now()
    return reachedAt > 0
  }, 'the revocation reaches the node')
  await Promise.all([ends, watch])
  return performance.now() - reachedAt
}

t.test('a sign-out ends what its own session has open, and nothing else', async t => {
  const user = await signUp(gateway)
  const elsewhere = await signIn(gateway, user.email)
  const [socket, second, other] = [
    await open(gateway, '/ws/x', user),
    await open(gateway, '/maybe/x', user),
    await open(gateway, '/ws/x', elsewhere)
  ]
  const [events, download] = [
    await openStream(gateway, '/ws/events', user),
    await openStream(gateway, '/maybe/file', user)
  ]
  const [theirs, anybody] = [
    await openStream(gateway, '/ws/events', elsewhere),
    await openStream(gateway, '/open/events', user)
  ]

  const ends = Promise.all([socket.closed, second.closed, events.over, download.over])
  const lag = lagOf(ends, gateway.log)
  t.equal((await post(gateway, '/api/auth/sign-out', {}, { cookie: user.cookie })).status, 200)
  t.strictSame(await ends, [OVER, OVER, 'cut', 'cut'])
  t.comment(`${Math.round(await lag)} ms after the change had reached the node`)

  t.ok(await isAlive(other), 'another session of the same user')
  await once(theirs.answer, 'data')
  await once(anybody.answer, 'data')
  t.pass('and its streams, and those of public routes')
  const lines = () => gateway.log.filter(line => line['reason'] === 'invalid_session')
  await eventually(() => lines().length === 4, 'the log says so of all four')
  t.equal(lines().filter(({ status }) => status === 101).length, 2)
  const metrics = await (await fetch(`http://127.0.0.1:${gateway.opsPort}/metrics`)).text()
  t.match(metrics, 'session_gateway_live_ended_total{kind="websocket",reason="invalid_session"} 2')
  t.match(metrics, 'session_gateway_live_ended_total{kind="stream",reason="invalid_session"} 2')
  for (const { call } of [theirs, anybody]) call.destroy()
  other.socket.destroy()
  await eventually(() => server.open.size === 0, 'and the upstream hears of it')
})

t.test('a ban by SQL ends all of a user’s sessions, on every node', async t => {
  const there = await startGateway(t, {
    yaml,
    postgres: gateway.postgres,
    redis: gateway.redis ?? false,
    env: { BETTER_AUTH_URL: origin }
  })
  const [user, bystander] = [await signUp(gateway), await signUp(gateway)]
  const elsewhere = await signIn(gateway, user.email)
  const sockets = [
    await open(gateway, '/ws/x', user),
    await open(gateway, '/ws/x', elsewhere),
    await open(there, '/ws/x', user)
  ]
  const other = await open(there, '/ws/x', bystander)
  const events = await openStream(there, '/ws/events', elsewhere)
  await sql`update auth."user" set banned = true where id = ${user.id}`
  t.strictSame(await Promise.all(sockets.map(({ closed }) => closed)), [OVER, OVER, OVER])
  t.equal(await events.over, 'cut')
  t.ok(await isAlive(other))
  other.socket.destroy()
})

t.test('a lost role ends what needed it; the rest of the session goes on', async t => {
  const admin = await signUp(gateway, 'admin')
  const [guarded, plain] = [await open(gateway, '/ws/admin/x', admin), await open(gateway, '/ws/x', admin)]
  const [guardedEvents, events] = [
    await openStream(gateway, '/ws/admin/events', admin),
    await openStream(gateway, '/ws/events', admin)
  ]
  await sql`update auth."user" set role = 'user' where id = ${admin.id}`
  t.strictSame(await guarded.closed, { code: 4401, reason: 'INSUFFICIENT_ROLE' })
  t.equal(await guardedEvents.over, 'cut')
  t.ok(await isAlive(plain))
  await once(events.answer, 'data')

  const again = await fetch(`http://localhost:${gateway.port}/maybe/x`, { headers: { cookie: admin.cookie } })
  t.match(again.headers.get('set-cookie'), /session_token=/, 'the session gets another token')
  await again.body?.cancel()
  t.ok(await isAlive(plain), 'which ends nothing')
  const cookie = String(again.headers.get('set-cookie')).split(';')[0] as string
  const next = await open(gateway, '/ws/x', { cookie })
  await sql`delete from auth.session where user_id = ${admin.id}`
  t.strictSame(await Promise.all([plain.closed, next.closed]), [OVER, OVER])
  t.equal(await events.over, 'cut')
})

/** Its cookie of now. When this returns, every change has been applied: a sign-up is not answered before. */
async function rotate(user: TestUser): Promise<string> {
  await sql`update auth."user" set role = 'support' where id = ${user.id}`
  await signUp(gateway)
  const answer = await fetch(`http://localhost:${gateway.port}/maybe/x`, { headers: { cookie: user.cookie } })
  await answer.body?.cancel()
  await signUp(gateway)
  return String(answer.headers.get('set-cookie')).split(';')[0] as string
}

t.test('what is opened with the old token in its grace ends with the session too', async t => {
  const user = await signUp(gateway)
  const cookie = await rotate(user)
  const late = await open(gateway, '/ws/x', user)
  const events = await openStream(gateway, '/ws/events', user)
  t.equal((await post(gateway, '/api/auth/sign-out', {}, { cookie })).status, 200)
  await eventually(() => late.socket.destroyed && events.answer.destroyed, 'both are over')
  t.strictSame(await late.closed, OVER)
  t.equal(await events.over, 'cut')
})

t.test('an answer that begins after the grace of its token goes on as long as the session does', async t => {
  const user = await signUp(gateway)
  const { respond } = server
  const held: ServerResponse[] = []
  server.respond = (_request, response) => held.push(response)
  const call = httpRequest({ port: gateway.port, path: '/ws/slow', headers: { cookie: user.cookie }, agent: false })
  call.end()
  await eventually(() => held.length === 1, 'it is under way')
  server.respond = respond
  const cookie = await rotate(user)
  await sql`update auth.gateway_old_token set grace_until = now()`

  const [slow] = held as [ServerResponse]
  const timer = setInterval(() => slow.write('more'), 20)
  slow.on('close', () => clearInterval(timer))
  slow.write('first')
  const [answer] = (await once(call, 'response')) as [IncomingMessage]
  let pieces = 0
  answer.on('error', () => {}).on('data', () => pieces++)
  // It was asked about as it began, and again with this.
  await sql`update auth."user" set name = 'Another' where id = ${user.id}`
  await signUp(gateway)
  const before = pieces
  await eventually(() => pieces > before, 'it goes on')
  t.equal((await post(gateway, '/api/auth/sign-out', {}, { cookie })).status, 200)
  await eventually(() => answer.destroyed, 'and no longer')
  t.notOk(answer.complete)
})

t.test('a change that takes nothing away ends nothing', async t => {
  const user = await signUp(gateway, 'admin')
  const [socket, fresh] = [await open(gateway, '/ws/admin/x', user), await open(gateway, '/ws/fresh/x', user)]
  await sql`update auth."user" set name = 'Another', role = 'admin,support' where id = ${user.id}`
  await sql`update auth.session set created_at = now() - interval '1 hour' where user_id = ${user.id}`
  const before = gateway.log.length
  await sql`update auth."user" set name = 'A third' where id = ${user.id}`
  await eventually(() => gateway.log.slice(before).some(({ event }) => event === 'revocation'), 'it is heard of')
  t.ok(await isAlive(socket))
  t.ok(await isAlive(fresh), 'a fresh sign-in is asked for at the door only')
  socket.socket.destroy()
  fresh.socket.destroy()
})

const inSeconds = ({ id }: { id: string }, seconds: number) =>
  sql`update auth.session set expires_at = now() + ${seconds} * interval '1 second' where user_id = ${id}`

t.test('it ends when the session does, and not where that was renewed', async t => {
  const [ending, renewed] = [await signUp(gateway), await signUp(gateway)]
  await inSeconds(ending, 2)
  await inSeconds(renewed, 2)
  const [socket, other] = [await open(gateway, '/ws/x', ending), await open(gateway, '/ws/x', renewed)]
  const events = await openStream(gateway, '/ws/events', ending)
  const openedAt = performance.now()
  await inSeconds(renewed, 3600)
  t.strictSame(await socket.closed, OVER)
  t.ok(performance.now() - openedAt > 1000, 'not before')
  t.equal(await events.over, 'cut')
  t.ok(await isAlive(other))
  other.socket.destroy()
})

t.test('nothing of the client’s reaches the upstream any more', async t => {
  const user = await signUp(gateway)
  const socket = await open(gateway, '/ws/last-words', user)
  const entry = [...server.open].find(({ request }) => request.url === '/ws/last-words')
  socket.send('before')
  await socket.next()
  await sql`update auth."user" set banned = true where id = ${user.id}`
  await eventually(() => socket.frames.length > 0, 'the close frame')
  socket.send('after')
  t.strictSame(await socket.closed, OVER)
  await eventually(() => entry?.socket.destroyed === true, 'the upstream’s side is gone')
  t.strictSame(
    entry?.frames.map(({ data }) => data.toString()),
    ['before']
  )
})

t.test('while PostgreSQL is away nothing ends; what it says afterwards counts', async t => {
  const own = await startGateway(t, { yaml })
  const [user, bystander] = [await signUp(own), await signUp(own)]
  const at = { port: own.port } as TestGateway
  const [socket, other] = [
    await openSocket(at.port, '/ws/x', { cookie: user.cookie, origin: own.origin }),
    await openSocket(at.port, '/ws/x', { cookie: bystander.cookie, origin: own.origin })
  ]
  await own.postgres.stop()
  await eventually(
    () => own.log.some(({ event, reason }) => event === 'cache' && reason === 'postgres'),
    'it is noticed'
  )
  t.ok(await isAlive(socket))
  t.ok(await isAlive(other))
  await own.postgres.restart()
  await eventually(async () => {
    await own.sql`update auth."user" set banned = true where id = ${user.id}`
    return true
  }, 'it is back')
  t.strictSame(await socket.closed, OVER)
  t.ok(await isAlive(other))
  other.socket.destroy()
})

t.test('a drain says 1001, ends event streams, and lets downloads finish', async t => {
  const own = await startGateway(t, { yaml })
  const user = await signUp(own)
  const options = { cookie: user.cookie, origin: own.origin }
  const [socket, anonymous] = [
    await openSocket(own.port, '/ws/x', options),
    await openSocket(own.port, '/open/x', { origin: 'https://anybody.test' })
  ]
  const { respond } = server
  const answers: ServerResponse[] = []
  server.respond = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/octet-stream' })
    response.write('one half')
    answers.push(response)
  }
  const download = await openStream(own, '/ws/file', user)
  server.respond = respond
  const events = await openStream(own, '/open/events', null)
  const closing = own.app.close()
  t.strictSame(await Promise.all([socket.closed, anonymous.closed]), [
    { code: 1001, reason: 'DRAINING' },
    { code: 1001, reason: 'DRAINING' }
  ])
  t.equal(await events.over, 'cut')
  answers[0]?.end('the other')
  t.equal(await download.over, 'end')
  await closing
})
