/**
 * The cache that every process shares, in Redis. It answers only while some process proves that every
 * revocation is applied in it (`{sg}:alive`), and takes a session only from the reader that holds the lease.
 * Look-ups and fills never reject: whatever goes wrong, the answer is "ask PostgreSQL". Everything the
 * revocation feed calls does reject, because there a failure must be known.
 */
import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { RedisLink } from '../data/redis.js'
import { type CacheState, parseState, STATE_KEY } from './cache-state.js'
import { LastRead } from './last-read.js'
import type { Session, TokenHash } from './session.js'
import { decodeSession, ENTRY_FORMAT, encodeSession } from './session-codec.js'
import { BEAT, FILL, INVALIDATE, LOOKUP, OPEN, PREFIX, RESET } from './session-scripts.js'

/**
 * Longer than any read that still answers. One whose holder is gone keeps others from filling until it ends; that
 * costs statements. That it ends early costs a fill. Neither costs truth.
 */
const LEASE_MS = 2000
const INVALIDATE_BATCH = 500
const LOOKUP_KEYS = [`${PREFIX}alive`, `${PREFIX}q`]

/** What a FILL must show: that nothing has happened since the look-up that missed. */
export interface FillTicket {
  readonly run: string
  readonly alive: string
  readonly mark: string
  readonly lease: string
}

export interface CacheReply {
  readonly ticket: FillTicket
  /** In the order asked. 'leased': a miss, and ours to fill; 'missed': somebody else is at it. */
  readonly answers: readonly (Session | 'leased' | 'missed')[]
}

export interface CacheFill {
  readonly hash: TokenHash
  readonly session: Session
  /** How long the session still lives, by the database's clock. */
  readonly leftMs: number
}

/** A change that was committed: of one session, by its token's hash, or of a user. */
export interface RevocationEvent {
  readonly kind: 'session' | 'user'
  readonly key: string
}

type Script = (keyCount: number, keys: readonly string[], args: readonly (string | number)[]) => Promise<unknown>

export class RedisSessionCache {
  /** Which database our own look-ups ask; the heartbeat of another one vouches for nothing. Empty: unknown yet. */
  database = ''
  readonly #link: RedisLink
  readonly #ttlMs: number
  readonly #lastRead = new LastRead(decodeSession)
  readonly #lookup: Script
  readonly #fill: Script
  readonly #invalidate: Script
  readonly #open: Script
  readonly #reset: Script
  readonly #beat: Script
  /** Prefix of every random value of this process; with the counter none is ever used twice. */
  readonly #origin = randomBytes(9).toString('base64url')
  #counter = 0

  constructor(link: RedisLink, ttlSeconds: number) {
    this.#link = link
    this.#ttlMs = ttlSeconds * 1000
    this.#lookup = defineScript(link.client, 'sgLookup', LOOKUP)
    this.#fill = defineScript(link.client, 'sgFill', FILL)
    this.#invalidate = defineScript(link.client, 'sgInvalidate', INVALIDATE)
    this.#open = defineScript(link.client, 'sgOpen', OPEN)
    this.#reset = defineScript(link.client, 'sgReset', RESET)
    this.#beat = defineScript(link.client, 'sgBeat', BEAT)
  }

  /** Null: bypass the cache, and fill nothing. Never rejects; takes 50 ms at most. */
  async lookup(hashes: readonly TokenHash[]): Promise<CacheReply | null> {
    const { run, breaker } = this.#link
    const { database } = this
    if (run === '' || database === '' || !breaker.admits()) return null
    const lease = this.#unique()
    const args = [bindPrefix(run), lease, LEASE_MS, database, hashes.join('')]
    const sentAt = performance.now()
    try {
      const reply = (await this.#lookup(2, LOOKUP_KEYS, args)) as (string | number)[]
      breaker.succeeded()
      const [alive, mark] = reply
      if (typeof alive !== 'string' || typeof mark !== 'string' || run !== this.#link.run) return null
      return { ticket: { run, alive, mark, lease }, answers: hashes.map((hash, i) => this.#answer(hash, reply[i + 2])) }
    } catch {
      breaker.failed(sentAt)
      return null
    }
  }

  #answer(hash: TokenHash, answer: string | number | undefined): Session | 'leased' | 'missed' {
    if (typeof answer === 'string') return this.#lastRead.read(hash, answer) ?? 'missed'
    return answer === 1 ? 'leased' : 'missed'
  }

  /** How many of them went in. Never rejects. */
  async fill(ticket: FillTicket, fills: readonly CacheFill[]): Promise<number> {
    const { run, alive, mark, lease } = ticket
    // The lease must come from this very Redis: on a lagging replica it survives its own deletion.
    if (run !== this.#link.run) return 0
    const keys = [`${PREFIX}alive`, `${PREFIX}q`]
    // Generations outlive the entries that name them; one that went early costs a miss.
    const args: (string | number)[] = [bindPrefix(run), alive, mark, lease, this.#unique(), 3 * this.#ttlMs]
    for (const { hash, session, leftMs } of fills) {
      const user = userKey(session.userId)
      const liveMs = Math.floor(Math.min(this.#ttlMs, leftMs))
      if (liveMs < 1) continue
      keys.push(`${PREFIX}s:${hash}`, `${PREFIX}l:${hash}`, `${PREFIX}ug:${user}`)
      args.push(user, encodeSession(session), liveMs)
    }
    return this.#fill(keys.length, keys, args).then(Number, () => 0)
  }

  /**
   * Resolves when none of them is served any more, by whatever process. Rejects when the server is another than `run`.
   */
  async invalidate(events: readonly RevocationEvent[], run: string = this.#link.run): Promise<void> {
    for (let i = 0; i < events.length; i += INVALIDATE_BATCH) {
      const args = [this.#unique()]
      for (const { kind, key } of events.slice(i, i + INVALIDATE_BATCH)) {
        if (kind === 'session') args.push('s', key)
        else args.push('u', userKey(key))
      }
      this.#mustBe(run)
      await this.#invalidate(1, [`${PREFIX}q`], args)
    }
  }

  /** How long the heartbeat is still good for, in ms; null when there is none. */
  async heartbeatLeft(): Promise<number | null> {
    const left = await this.#link.client.pttl(`${PREFIX}alive`)
    return left < 0 ? null : left
  }

  /** Redis's own clock, in ms, and how current its data is. */
  async open(): Promise<{ readonly now: number; readonly state: CacheState }> {
    const { run } = this.#link
    if (run === '') throw new Error('Redis has not said who it is.')
    const [now, text] = (await this.#open(1, [STATE_KEY], [])) as [number, string]
    return { now, state: parseState(run, text) }
  }

  /**
   * Ends every entry at once: the heartbeat's value changes. False when another process changed the state meanwhile.
   */
  async reset(expected: CacheState, database: string, epoch: string, cursor: string): Promise<boolean> {
    const keys = [STATE_KEY, `${PREFIX}alive`]
    const state = [database, epoch, this.#unique(), 0, cursor].join('|')
    this.#mustBe(expected.run)
    return (await this.#reset(2, keys, [expected.text, state])) === 1
  }

  /**
   * Says until when, by Redis's clock, the cache may be used. `from`: the state the poll began with. Returns the number
   * of this beat, 0 when the state has become one that this poll cannot speak for.
   */
  async beat(from: CacheState, epoch: string, nextCursor: string, untilMs: number): Promise<number> {
    const keys = [STATE_KEY, `${PREFIX}alive`]
    this.#mustBe(from.run)
    return Number(await this.#beat(2, keys, [from.nonce, from.beats, epoch, nextCursor, untilMs]))
  }

  #mustBe(run: string): void {
    if (run === '' || run !== this.#link.run) throw new Error('Redis is another server by now.')
  }

  #unique(): string {
    this.#counter++
    return `${this.#origin}${this.#counter.toString(36)}`
  }
}

/** EVALSHA, and EVAL where the server does not know the script yet: ioredis does both. */
function defineScript(client: Redis, name: string, lua: string): Script {
  client.defineCommand(name, { lua })
  const run = (client as unknown as Record<string, Script>)[name] as Script
  return run.bind(client)
}

function bindPrefix(run: string): string {
  return `${ENTRY_FORMAT}:${run}.`
}

/** Ids may be anything; in a key and an entry they must not contain our separator. */
function userKey(userId: string): string {
  return encodeURIComponent(userId)
}
