/**
 * Three transactions that write to the outbox, the first to begin not always the first to end, and readings that must
 * miss none of them and tell of none twice. What is read goes to two places, each with a cursor of its own: Redis,
 * where another node moves the cursor as well, and the memory of our node. A reading begins at the earlier cursor, and
 * each place takes from it what its cursor does not see.
 *
 * Limits. Three transactions, committed or rolled back; two nodes, any number of readings, ours atomic, the other one
 * slow; Redis out of our reach at any time, but never emptied or failed over (`redis-session.ts`). One listener whose
 * connection may break. Transactions get their numbers in the order in which they begin, as rows get their ids.
 */
import type { Model, StateOf, Step } from './explore.js'

export interface OutboxDesign {
  /**
   * What is kept of a reading. 'id': the last row seen. 'xmin': the oldest transaction that was running. 'snapshot':
   * xmax, one more than the last that had ended, and those below it that were running. 'none': no reading, LISTEN
   * alone.
   */
  readonly cursor: 'id' | 'xmin' | 'snapshot' | 'none'
  /** Of two cursors with the same xmax that of Redis counts, and stays. */
  readonly comparesXmaxOnly?: true
  /** Rows may come twice: a process keeps a set of what it has told, or forgets it. */
  readonly repeats?: true
}

/** `phase`: 1 running, 2 committed, 3 rolled back. `told`: its notification is on its way. Then where it is applied. */
const TRANSACTION = { phase: 4, told: 2, there: 2, here: 2 } as const

/** `xip`: a bit for each transaction below xmax that is not seen. */
const CURSOR = { xmax: 5, xip: 8 } as const

const LAYOUT = {
  one: TRANSACTION,
  two: TRANSACTION,
  three: TRANSACTION,
  there: CURSOR,
  here: CURSOR,
  /** What the other node has read and not yet applied, and its next cursor. */
  other: { ...CURSOR, reading: 2, one: 2, two: 2, three: 2 },
  verdict: { missed: 2, twice: 2 }
} as const

type State = StateOf<typeof LAYOUT>
type Cursor = State['there']
type Place = 'there' | 'here'

/** In the order of their beginnings: their numbers are 1, 2, 3. */
const WHO = ['one', 'two', 'three'] as const
const BEGINNING = { xmax: 1 }

export function outboxModel(design: OutboxDesign): Model<typeof LAYOUT> {
  return {
    layout: LAYOUT,
    start: { there: BEGINNING, here: BEGINNING },
    next(state, step) {
      const { verdict } = state
      if (verdict.missed || verdict.twice) return
      const next = WHO.find(who => state[who].phase === 0)
      if (next !== undefined) step(`${next}: begins`)[next].phase = 1
      for (const who of WHO) {
        if (state[who].phase !== 1) continue
        Object.assign(step(`${who}: COMMIT`)[who], { phase: 2, told: 1 })
        step(`${who}: ROLLBACK`)[who].phase = 3
      }
      if (design.cursor === 'none') return listen(state, step)
      read(step('a reading'), design, ['there', 'here'])
      read(step('a reading, Redis out of reach'), design, ['here'])
      if (!state.other.reading) open(step('the other node reads'), design)
      else beat(step('the other node: INVALIDATE, BEAT'), design)
    },
    bad: ({ verdict }) => verdict.missed === 1 || (verdict.twice === 1 && !design.repeats),
    witnesses: {
      'all applied': state => WHO.every(who => state[who].here && (design.cursor === 'none' || state[who].there))
    }
  }
}

function read(then: State, design: OutboxDesign, places: readonly Place[]): void {
  const { there, here, verdict } = then
  const from = isEarlier(here, there, design) ? here : there
  const rows = WHO.filter(who => then[who].phase === 2 && !sees(from, who))
  for (const place of places) {
    for (const who of rows) {
      if (sees(then[place], who)) continue
      if (then[who][place]) verdict.twice = design.repeats ? 0 : 1
      then[who][place] = 1
    }
    if (WHO.some(who => then[who].phase === 2 && !then[who][place])) verdict.missed = 1
  }
  const next = cursorOf(then, design)
  Object.assign(here, next)
  if (places.includes('there') && isEarlier(there, next, design)) Object.assign(there, next)
}

function open(then: State, design: OutboxDesign): void {
  const { there, other, verdict } = then
  Object.assign(other, cursorOf(then, design), { reading: 1 })
  for (const who of WHO) {
    if (then[who].phase !== 2) continue
    if (!sees(there, who)) other[who] = 1
    else if (!then[who].there) verdict.missed = 1
  }
}

function beat(then: State, design: OutboxDesign): void {
  const { there, other } = then
  for (const who of WHO) if (other[who]) then[who].there = 1
  if (isEarlier(there, other, design)) Object.assign(there, { xmax: other.xmax, xip: other.xip })
  Object.assign(other, { xmax: 0, xip: 0, reading: 0, one: 0, two: 0, three: 0 })
}

function cursorOf(state: State, { cursor }: OutboxDesign): Cursor {
  const phases = WHO.map(who => state[who].phase)
  const ended = phases.findLastIndex(phase => phase === 2 || (phase === 3 && cursor !== 'id')) + 1
  const running = phases.indexOf(1) + 1
  if (cursor === 'xmin') return { xmax: running || ended + 1, xip: 0 }
  const bits = phases.slice(0, ended).map((phase, i) => (phase === 1 ? 1 << i : 0))
  return { xmax: ended + 1, xip: cursor === 'snapshot' ? bits.reduce((all, bit) => all | bit, 0) : 0 }
}

function sees({ xmax, xip }: Cursor, who: (typeof WHO)[number]): boolean {
  const i = WHO.indexOf(who)
  return i + 1 < xmax && (xip & (1 << i)) === 0
}

function isEarlier(one: Cursor, other: Cursor, { comparesXmaxOnly }: OutboxDesign): boolean {
  if (one.xmax !== other.xmax) return one.xmax < other.xmax
  return !comparesXmaxOnly && one.xip > other.xip
}

function listen(state: State, step: Step<typeof LAYOUT>): void {
  for (const who of WHO) {
    if (state[who].told) Object.assign(step(`${who}: the notification arrives`)[who], { told: 0, here: 1 })
  }
  const lost = WHO.filter(who => state[who].told)
  const then = step('the listener connects anew')
  for (const who of lost) then[who].told = 0
  if (lost.length > 0) then.verdict.missed = 1
}
