/** A design, what its model says of it, and that in words: HOLDS, or FAILS with the shortest counterexample. */
import { explore, type Layout, type Model, type Outcome } from './explore.js'

type Reporter = { comment: (text: string) => void; ok: (value: unknown, message: string) => unknown }

/** The property holds in every state, and every witness is met. */
export function holds<L extends Layout>(t: Reporter, design: string, model: Model<L>): void {
  const outcome = tell(t, design, explore(model))
  t.ok(outcome.holds, `holds: ${design}`)
  const unmet = Object.keys(model.witnesses ?? {}).filter(name => !outcome.seen.has(name))
  t.ok(unmet.length === 0, `and is seen at work${unmet.map(name => `, not: ${name}`).join('')}`)
}

/** There is a counterexample, and it takes the steps named, in this order. */
export function fails<L extends Layout>(t: Reporter, design: string, model: Model<L>, ...by: readonly string[]): void {
  const { holds, trace } = tell(t, design, explore(model))
  t.ok(!holds, `fails: ${design}`)
  let from = 0
  for (const part of by) from = trace.findIndex((name, i) => i >= from && name.includes(part)) + 1 || Number.NaN
  t.ok(!Number.isNaN(from), `by: ${by.join(' › ')}`)
}

function tell(t: Reporter, design: string, outcome: Outcome): Outcome {
  const { holds, states, ms, trace } = outcome
  t.comment(`${holds ? 'HOLDS' : 'FAILS'}  ${design}  [${states.toLocaleString('en')} states, ${ms} ms]`)
  if (!holds) t.comment(`       ${trace.join(' › ')}`)
  return outcome
}
