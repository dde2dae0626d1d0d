/** Who calls: some hundred sessions, as many as end begin anew. The ended ones are asked for as well, for a minute. */
import { randomBytes } from 'node:crypto'
import type { Sql } from 'postgres'
import { sessionOf } from '../support/gateway-pair.js'
import type { SoakSession, SoakUser } from './judge.js'
import type { Random } from './random.js'

const LIVE_SESSIONS = 300
const MOST_SESSIONS_OF_A_USER = 4
const REMEMBERED_MS = 60_000

export class People {
  readonly #sql: Sql
  readonly #random: Random
  #users: SoakUser[] = []
  #live: SoakSession[] = []
  /** Oldest first. */
  #gone: SoakSession[] = []
  #born = 0

  constructor(sql: Sql, random: Random) {
    this.#sql = sql
    this.#random = random
  }

  get live(): readonly SoakSession[] {
    return this.#live
  }

  /** Sessions that there were. */
  get born(): number {
    return this.#born
  }

  /** A live one three times of four, else one whose end was asked for, the latest most often. */
  pick(): SoakSession | undefined {
    if (this.#gone.length === 0 || this.#random.next() < 0.75) return this.#random.pick(this.#live)
    const back = Math.floor(this.#random.next() ** 3 * this.#gone.length)
    return this.#gone[this.#gone.length - 1 - back]
  }

  /** Nobody else changes this user before `busy` is false again. */
  take(): SoakUser | null {
    const user = this.#random.pick(this.#users)
    if (user === undefined || user.busy) return null
    user.busy = true
    return user
  }

  /** Their end is asked for from now on; nobody who asked before may have been refused. */
  ending(sessions: readonly SoakSession[]): void {
    const now = performance.now()
    for (const session of sessions) {
      session.endingAt = now
      this.#gone.push(session)
    }
    const ending = new Set(sessions)
    this.#live = this.#live.filter(session => !ending.has(session))
    for (const { user } of sessions) user.sessions = user.sessions.filter(session => !ending.has(session))
    this.#users = this.#users.filter(user => user.sessions.length > 0)
    this.#gone = this.#gone.filter(({ endingAt }) => (endingAt ?? now) > now - REMEMBERED_MS)
  }

  /** Signs in whoever is missing. Rejects when PostgreSQL does not answer; then nobody has come. */
  async topUp(): Promise<void> {
    while (this.#live.length < LIVE_SESSIONS) await this.#signIn()
  }

  async #signIn(): Promise<void> {
    const sql = this.#sql
    const id = randomBytes(16).toString('hex')
    const role = this.#random.next() < 0.2 ? 'admin' : 'user'
    const user: SoakUser = {
      id,
      roles: [{ role, from: performance.now(), to: Number.POSITIVE_INFINITY }],
      sessions: [],
      busy: false
    }
    const tokens = Array.from({ length: Math.ceil(this.#random.between(0, MOST_SESSIONS_OF_A_USER)) }, () =>
      randomBytes(24).toString('base64url')
    )
    // One statement: postgres.js 3.4.9 ends this process when a connection is lost inside `begin` (its issue 1208).
    await sql`
      with person as (
        insert into auth."user" (id, name, email, role) values (${id}, 'A Person', ${`${id}@example.com`}, ${role}) returning id
      )
      insert into auth.session (id, token, user_id, expires_at)
      select token, token, person.id, now() + interval '7 days' from person, unnest(${tokens}::text[]) token`
    user.sessions = tokens.map(token => ({ ...sessionOf(token), user, endingAt: null, ended: null }))
    this.#born += tokens.length
    this.#users.push(user)
    this.#live.push(...user.sessions)
  }
}
