/**
 * A role change, and the two sessions of its user in Redis, the second of them created meanwhile. Property S: once the
 * answer is given, no look-up of either session finds the old role.
 *
 * Limits. One change, one reader for each session with any number of requests. Everything reaches Redis (what happens
 * when it does not: `redis-session.ts`). A generation is never repeated, so an entry of another one is as good as none.
 */
import type { Model, StateOf, Step } from './explore.js'

export interface RoleDesign {
  /**
   * Entries are bound to a generation of the user, which INVALIDATE deletes; otherwise it deletes the sessions known.
   */
  readonly generation?: true
  /** A fill must show the mark of its look-up; every INVALIDATE of a user changes it. */
  readonly mark?: true
}

/** `saw`: 1 the old role, 2 the new one. `held`: the lease is still there. `marked`: so is the mark of the look-up. */
const READER = { step: 3, saw: 3, held: 2, marked: 2 } as const

const LAYOUT = {
  first: READER,
  second: READER,
  /** By session: 1 the old role, 2 the new one, in an entry that hits. */
  entries: { first: 3, second: 3 },
  /** `change`: 0 begun, 1 sessions listed, 2 committed, 3 invalidated, 4 answered. */
  world: { change: 5, listed: 2, created: 2, late: 2 }
} as const

type State = StateOf<typeof LAYOUT>
type Stepper = Step<typeof LAYOUT>
type Session = 'first' | 'second'

const SESSIONS = ['first', 'second'] as const

export function redisUserModel(design: RoleDesign): Model<typeof LAYOUT> {
  return {
    layout: LAYOUT,
    start: {},
    next(state, step) {
      const { world, entries } = state
      if (world.late) return
      if (!world.created) step('a sign-in creates the second session').world.created = 1
      for (const session of SESSIONS) {
        if (session === 'first' || world.created) read(state, step, session, design)
        if (entries[session]) step(`the ${session} entry is evicted`).entries[session] = 0
      }
      if (design.generation) forget(step('the generation is evicted').entries)
      if (design.mark) unmark(step('the mark is evicted'))
      change(state, step, design)
      for (const session of SESSIONS) {
        if (world.change === 4 && entries[session] === 1) {
          step(`a new request of the ${session} session: HIT, old role`).world.late = 1
        }
      }
    },
    bad: ({ world }) => world.late === 1,
    witnesses: {
      answered: ({ world }) => world.change === 4,
      'both cached with the new role': ({ world, entries }) =>
        world.change === 4 && entries.first === 2 && entries.second === 2
    }
  }
}

function read(state: State, step: Stepper, session: Session, design: RoleDesign): void {
  const reader = state[session]
  if (reader.step === 0 && !state.entries[session]) {
    Object.assign(step(`${session}: misses`)[session], { step: 1, held: 1, marked: 1 })
  }
  if (reader.step === 1) {
    const saw = state.world.change >= 2 ? 2 : 1
    Object.assign(step(`${session}: reads the ${saw === 1 ? 'old' : 'new'} role`)[session], { step: 2, saw })
  }
  if (reader.step === 2) {
    const may = reader.held && (reader.marked || !design.mark)
    const then = step(`${session}: ${may ? 'fills' : 'does not fill'}`)
    if (may) then.entries[session] = reader.saw
    Object.assign(then[session], { step: 0, saw: 0, held: 0, marked: 0 })
  }
}

function change({ world }: State, step: Stepper, design: RoleDesign): void {
  if (world.change === 0)
    Object.assign(step('the sessions of the user are listed').world, { change: 1, listed: world.created })
  if (world.change === 1) step('COMMIT').world.change = 2
  if (world.change === 2) {
    const then = step('INVALIDATE')
    then.world.change = 3
    if (design.generation) forget(then.entries)
    if (design.mark) unmark(then)
    if (design.generation) return
    for (const session of SESSIONS) {
      if (session === 'second' && !world.listed) continue
      then.entries[session] = then[session].held = 0
    }
  }
  if (world.change === 3) step('ANSWER 200').world.change = 4
}

function forget(entries: State['entries']): void {
  entries.first = entries.second = 0
}

function unmark({ first, second }: State): void {
  first.marked = second.marked = 0
}
