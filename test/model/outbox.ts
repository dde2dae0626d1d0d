/**
 * Two transactions that write to the outbox, the first to begin not always the first to commit, and a reader that must
 * not miss either: what is committed when a reading begins is applied when it ends.
 *
 * Limits. Two transactions, any number of readings, one listener whose connection may break.
 */
import type { Model, StateOf, Step } from './explore.js'

/** 'id': rows after the last one seen. 'xid': rows of transactions from the oldest that was open. 'listen': no reading. */
export type OutboxDesign = 'id' | 'xid' | 'listen'

/** `phase`: 1 begun, with an id of its own; 2 committed. `told`: its notification is on its way. */
const TRANSACTION = { phase: 3, told: 2, applied: 2 } as const

const LAYOUT = {
  one: TRANSACTION,
  two: TRANSACTION,
  /** `cursor`: transactions with a smaller number are done with. */
  reader: { cursor: 4, missed: 2 }
} as const

type State = StateOf<typeof LAYOUT>

export function outboxModel(design: OutboxDesign): Model<typeof LAYOUT> {
  return {
    layout: LAYOUT,
    start: { reader: { cursor: 1 } },
    next(state, step) {
      if (state.reader.missed) return
      if (state.one.phase === 0) step('one: begins, id 1').one.phase = 1
      if (state.one.phase > 0 && state.two.phase === 0) step('two: begins, id 2').two.phase = 1
      for (const who of ['one', 'two'] as const) {
        if (state[who].phase === 1) Object.assign(step(`${who}: COMMIT`)[who], { phase: 2, told: 1 })
      }
      if (design === 'listen') listen(state, step)
      else read(step('a reading of the outbox'), design)
    },
    bad: ({ reader }) => reader.missed === 1,
    witnesses: { 'both applied': ({ one, two }) => one.applied + two.applied === 2 }
  }
}

function read(then: State, design: OutboxDesign): void {
  const { one, two, reader } = then
  const transactions = [one, two]
  transactions.forEach((transaction, i) => {
    if (transaction.phase === 2 && i + 1 >= reader.cursor) transaction.applied = 1
  })
  const begun = transactions.filter(({ phase }) => phase > 0).length
  const oldestOpen = transactions.findIndex(({ phase }) => phase === 1)
  const lastSeen = transactions.findLastIndex(({ phase }) => phase === 2)
  if (design === 'id') reader.cursor = Math.max(reader.cursor, lastSeen + 2)
  else reader.cursor = oldestOpen === -1 ? begun + 1 : oldestOpen + 1
  if (transactions.some(({ phase, applied }) => phase === 2 && !applied)) reader.missed = 1
}

function listen(state: State, step: Step<typeof LAYOUT>): void {
  for (const who of ['one', 'two'] as const) {
    if (state[who].told) Object.assign(step(`${who}: the notification arrives`)[who], { told: 0, applied: 1 })
  }
  const lost = (['one', 'two'] as const).filter(who => state[who].told)
  const then = step('the listener connects anew')
  for (const who of lost) then[who].told = 0
  if (lost.length > 0) then.reader.missed = 1
}
