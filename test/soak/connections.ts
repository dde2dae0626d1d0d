/** What stays open or breaks off: WebSockets and event streams, which must end with their session, and aborted uploads. */
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { BASE_URL } from '../support/gateway-pair.js'
import { dial } from '../support/websocket.js'
import type { Cluster, Node } from './cluster.js'
import type { SoakSession } from './judge.js'
import type { People } from './people.js'
import type { Random } from './random.js'
import type { Timeline } from './timeline.js'

const OPEN = 12
const PAUSE_MS = 250
const UPLOAD_BYTES = 200_000
const LONGEST_UPLOAD_MS = 60
/** So long after its session was over on every node, without any fault, nothing is open. */
const OVERDUE_MS = 5_000

interface OpenOne {
  readonly session: SoakSession
  readonly what: string
  readonly end: () => void
}

export class Connections {
  opened = 0
  aborted = 0
  readonly #open = new Set<OpenOne>()
  readonly #nodes: readonly Node[]
  readonly #people: People
  readonly #timeline: Timeline
  readonly #random: Random
  #over = false

  constructor({ a, b }: Cluster, people: People, timeline: Timeline, random: Random) {
    this.#nodes = [a, b]
    this.#people = people
    this.#timeline = timeline
    this.#random = random
  }

  /** Until `stop`. Tells of what outlives its session. */
  async run(violate: (what: string) => void): Promise<void> {
    while (!this.#over) {
      await sleep(PAUSE_MS)
      const node = this.#random.pick(this.#nodes)
      const session = this.#random.pick(this.#people.live)
      if (node === undefined || session === undefined) continue
      this.#abortUpload(node, session)
      if (this.#open.size < OPEN) {
        if (this.#random.next() < 0.5) void this.#openSocket(node, session)
        else void this.#openStream(node, session)
      }
      for (const one of this.#open) if (this.#isOverdue(one)) this.#tell(one, violate)
    }
  }

  stop(): void {
    this.#over = true
    for (const { end } of this.#open) end()
  }

  #isOverdue({ session: { ended } }: OpenOne): boolean {
    if (ended === null) return false
    const due = ended.inBand ? ended.at : this.#timeline.inForceAfter(ended.at)
    const now = performance.now()
    return now > due + OVERDUE_MS && this.#timeline.isHealthy(now - OVERDUE_MS, now)
  }

  #tell(one: OpenOne, violate: (what: string) => void): void {
    const { session, what } = one
    const ms = Math.round(performance.now() - (session.ended?.at ?? 0))
    violate(`${what} of session ${session.token.slice(0, 8)} is open ${ms} ms after ${session.ended?.by}`)
    this.#open.delete(one)
    one.end()
  }

  #keep(one: OpenOne): OpenOne {
    this.opened++
    this.#open.add(one)
    if (this.#over) one.end()
    return one
  }

  async #openSocket(node: Node, session: SoakSession): Promise<void> {
    const client = dial(node.port, '/live/socket', { cookie: session.cookie, origin: BASE_URL })
    if ((await client.answer)?.status !== 101) {
      client.socket.destroy()
      return
    }
    const one = this.#keep({ session, what: `a WebSocket at ${node.name}`, end: () => client.socket.destroy() })
    client.send('hello')
    await client.closed
    this.#open.delete(one)
  }

  async #openStream(node: Node, session: SoakSession): Promise<void> {
    const headers = { cookie: session.cookie }
    const call = httpRequest({ port: node.port, host: '127.0.0.1', path: '/live/events', headers, agent: false }).end()
    const gone = once(call, 'close')
    call.on('error', () => {})
    call.on('response', answer => {
      answer.on('error', () => {}).resume()
      if (answer.statusCode !== 200) return
      const one = this.#keep({ session, what: `an event stream at ${node.name}`, end: () => call.destroy() })
      call.once('close', () => this.#open.delete(one))
    })
    await gone.catch(() => {})
  }

  #abortUpload(node: Node, { cookie }: SoakSession): void {
    const headers = { cookie, origin: BASE_URL, 'content-length': UPLOAD_BYTES, 'content-type': 'text/plain' }
    const options = { port: node.port, host: '127.0.0.1', path: '/api/plain/upload', method: 'POST', headers }
    const call = httpRequest({ ...options, agent: false })
    call.on('error', () => {}).on('response', answer => answer.on('error', () => {}).resume())
    call.write(Buffer.alloc(UPLOAD_BYTES / 2))
    setTimeout(() => call.destroy(), this.#random.between(0, LONGEST_UPLOAD_MS))
    this.aborted++
  }
}
