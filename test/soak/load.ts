/** Requests at a fixed rate, whatever becomes of the answers, and each answer judged. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import type { Cluster } from './cluster.js'
import { type Answer, describe, judge, type SoakSession } from './judge.js'
import type { People } from './people.js'
import type { Random } from './random.js'
import type { Timeline } from './timeline.js'

const CONNECTIONS = 64
/** What nobody answers is not piled up any higher: requests under way, per node. */
const IN_FLIGHT = 256
const TICK_MS = 10
const DEADLINE_MS = 15_000
const SHARE = 0.7
const MEASURED_MS = 2_000
const STRICT = 0.05
const KEPT = 20

type NodeName = 'a' | 'b'

export class Asker {
  /** By status; 0 for none. */
  readonly answers = new Map<number, number>()
  /** Told in full, the first of them. */
  readonly violations: string[] = []
  violated = 0
  skipped = 0
  readonly #pools: Record<NodeName, Pool>
  readonly #inFlight: Record<NodeName, number> = { a: 0, b: 0 }
  readonly #people: People
  readonly #timeline: Timeline
  readonly #random: Random
  #over = false

  constructor({ a, b }: Cluster, people: People, timeline: Timeline, random: Random) {
    const options = { connections: CONNECTIONS, headersTimeout: DEADLINE_MS, bodyTimeout: DEADLINE_MS }
    const pool = (port: number) => new Pool(`http://127.0.0.1:${port}`, options)
    this.#pools = { a: pool(a.port), b: pool(b.port) }
    this.#people = people
    this.#timeline = timeline
    this.#random = random
  }

  /** Requests per second that are a fair load: 70 % of what was answered at full speed, as this machine is now. */
  async measure(most: number): Promise<number> {
    for (const counted of [false, true]) {
      const before = this.#total()
      const end = performance.now() + MEASURED_MS
      await Promise.all(
        Array.from({ length: CONNECTIONS }, async (_, i) => {
          while (performance.now() < end) await this.#ask(i % 2 === 0 ? 'a' : 'b')
        })
      )
      const perSecond = ((this.#total() - before) / MEASURED_MS) * 1_000
      if (counted) return Math.min(most, Math.max(20, Math.round(perSecond * SHARE)))
    }
    return most
  }

  /** Until `stop`. */
  async run(perSecond: number): Promise<void> {
    const startedAt = performance.now()
    for (let sent = 0; !this.#over; await sleep(TICK_MS)) {
      const due = ((performance.now() - startedAt) / 1_000) * perSecond
      // After a stall the rate goes on; what was missed is not made up for in a burst.
      sent = Math.max(sent, due - perSecond)
      for (; sent < due; sent++) this.#send(this.#random.next() < 0.5 ? 'a' : 'b')
    }
  }

  /** Resolves when nothing is under way; connections are closed. */
  async stop(): Promise<void> {
    this.#over = true
    while (this.#inFlight.a + this.#inFlight.b > 0) await sleep(TICK_MS)
    await Promise.all([this.#pools.a.close(), this.#pools.b.close()])
  }

  /** The status; 0 when there was no answer. */
  async post(node: NodeName, path: string, headers: Record<string, string>): Promise<number> {
    try {
      const { statusCode, body } = await this.#pools[node].request({ method: 'POST', path, headers, body: '{}' })
      await body.dump()
      return statusCode
    } catch {
      return 0
    }
  }

  readonly violate = (what: string): void => {
    this.violated++
    if (this.violations.length < KEPT) this.violations.push(what)
  }

  #send(node: NodeName): void {
    if (this.#inFlight[node] >= IN_FLIGHT) this.skipped++
    else void this.#ask(node)
  }

  async #ask(node: NodeName): Promise<void> {
    const session = this.#people.pick()
    if (session === undefined) return
    const path = this.#random.next() < STRICT ? '/api/strict/x' : '/api/plain/x'
    this.#inFlight[node]++
    const sentAt = performance.now()
    try {
      const { statusCode, body } = await this.#pools[node].request({
        method: 'GET',
        path,
        headers: { cookie: session.cookie }
      })
      const answer = { session, node, sentAt, receivedAt: performance.now(), status: statusCode }
      const text = await body.text()
      this.#take({ ...answer, told: statusCode < 300 ? (JSON.parse(text) as Answer['told']) : null })
    } catch {
      this.#count(0)
      if (this.#isUnexcused(sentAt)) this.#unanswered(session, node, sentAt)
    } finally {
      this.#inFlight[node]--
    }
  }

  #take(answer: Answer): void {
    this.#count(answer.status)
    const what = judge(answer, this.#timeline)
    if (what !== null) this.violate(describe(answer, what, this.#timeline))
  }

  #unanswered(session: SoakSession, node: NodeName, sentAt: number): void {
    const answer = { session, node, sentAt, receivedAt: performance.now(), status: 0, told: null }
    this.violate(describe(answer, 'no answer without any fault', this.#timeline))
  }

  #isUnexcused(sentAt: number): boolean {
    const now = performance.now()
    return this.#timeline.isHealthy(sentAt, now) && !this.#timeline.isStall(sentAt, now)
  }

  #count(status: number): void {
    this.answers.set(status, (this.answers.get(status) ?? 0) + 1)
  }

  #total(): number {
    return [...this.answers.values()].reduce((sum, count) => sum + count, 0)
  }
}
