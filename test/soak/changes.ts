/** What ends sessions and changes roles while they are asked for: through the gateway and around it. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Sql } from 'postgres'
import { BASE_URL } from '../support/gateway-pair.js'
import type { Cluster } from './cluster.js'
import type { SoakSession, SoakUser } from './judge.js'
import type { Asker } from './load.js'
import type { People } from './people.js'
import type { Random } from './random.js'

const CHANGES_PER_SECOND = 4
/** When nothing is answered, no more than these wait. */
const AT_ONCE = 24
/** A browser asks again after a 503. */
const TRIES = 20
const RETRY_MS = 1_000

type Kind = 'sign-out' | 'revoke-sessions' | 'session deleted' | 'ban' | 'user deleted' | 'role'
const KINDS: readonly Kind[] = [
  'sign-out',
  'sign-out',
  'sign-out',
  'revoke-sessions',
  'session deleted',
  'session deleted',
  'ban',
  'user deleted',
  'role',
  'role'
]

export class Changes {
  readonly answered = new Map<string, number>()
  /** Refused, lost, or not known to have happened. */
  unanswered = 0
  readonly #people: People
  readonly #sql: Sql
  readonly #random: Random
  readonly #asker: Asker
  readonly #running = new Set<Promise<void>>()
  #toppingUp = false
  #over = false

  constructor({ sql }: Pick<Cluster, 'sql'>, people: People, asker: Asker, random: Random) {
    this.#sql = sql
    this.#people = people
    this.#asker = asker
    this.#random = random
  }

  /** Until `stop`. */
  async run(): Promise<void> {
    while (!this.#over) {
      await sleep((1_000 / CHANGES_PER_SECOND) * this.#random.between(0.2, 1.8))
      void this.#topUp()
      const user = this.#running.size < AT_ONCE ? this.#people.take() : null
      if (user === null) continue
      const change = this.#change(user)
        .catch(error => this.#asker.violate(`the harness itself: ${error}`))
        .finally(() => {
          user.busy = false
          this.#running.delete(change)
        })
      this.#running.add(change)
    }
  }

  async stop(): Promise<void> {
    this.#over = true
    await Promise.all(this.#running)
  }

  async #topUp(): Promise<void> {
    if (this.#toppingUp) return
    this.#toppingUp = true
    // Without PostgreSQL nobody signs in; the next one tries again.
    await this.#people.topUp().catch(() => {})
    this.#toppingUp = false
  }

  async #change(user: SoakUser): Promise<void> {
    const kind = this.#random.pick(KINDS) ?? 'role'
    const [first] = user.sessions
    if (first === undefined) return
    const happened = await this.#make(kind, user, first)
    if (happened) this.answered.set(kind, (this.answered.get(kind) ?? 0) + 1)
    else this.unanswered++
  }

  #make(kind: Kind, user: SoakUser, first: SoakSession): Promise<boolean> {
    const sql = this.#sql
    const all = user.sessions
    if (kind === 'sign-out') return this.#end([first], kind, () => this.#post('/api/auth/sign-out', first))
    if (kind === 'revoke-sessions') return this.#end(all, kind, () => this.#post('/api/auth/revoke-sessions', first))
    if (kind === 'session deleted') {
      return this.#end([first], kind, () => committed(sql`delete from auth.session where token = ${first.token}`))
    }
    if (kind === 'ban') {
      return this.#end(all, kind, () => committed(sql`update auth."user" set banned = true where id = ${user.id}`))
    }
    if (kind === 'user deleted') {
      return this.#end(all, kind, () => committed(sql`delete from auth."user" where id = ${user.id}`))
    }
    return this.#changeRole(user)
  }

  async #end(sessions: readonly SoakSession[], by: Kind, change: () => Promise<boolean>): Promise<boolean> {
    this.#people.ending(sessions)
    if (!(await change())) return false
    const inBand = by === 'sign-out' || by === 'revoke-sessions'
    const ended = { at: performance.now(), by, inBand }
    for (const session of sessions) session.ended = ended
    return true
  }

  /** True once it was answered with 200. */
  async #post(path: string, { cookie }: SoakSession): Promise<boolean> {
    const headers = { cookie, origin: BASE_URL, 'content-type': 'application/json' }
    for (let i = 0; i < TRIES && !this.#over; i++) {
      const status = await this.#asker.post(this.#random.next() < 0.5 ? 'a' : 'b', path, headers)
      if (status === 200) return true
      // Ended by what went on after a 503: it has no session any more to ask with, so nobody says when.
      if (status === 401) return false
      await sleep(RETRY_MS)
    }
    return false
  }

  async #changeRole(user: SoakUser): Promise<boolean> {
    const role = user.roles.at(-1)?.role === 'admin' ? 'user' : 'admin'
    const before = [...user.roles]
    user.roles.push({ role, from: performance.now(), to: Number.POSITIVE_INFINITY })
    const done = await committed(this.#sql`update auth."user" set role = ${role} where id = ${user.id}`)
    const now = performance.now()
    if (done) for (const period of before) period.to = Math.min(period.to, now)
    return done
  }
}

/** False where nobody knows whether it was. */
async function committed(statement: PromiseLike<unknown>): Promise<boolean> {
  try {
    await statement
    return true
  } catch (error) {
    // A mistake of ours, such as a column that is not there, is no outage.
    if (/^(42|22|23)/.test(String((error as { code?: unknown }).code))) throw error
    return false
  }
}
