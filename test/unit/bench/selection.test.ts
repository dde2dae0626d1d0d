/** What a run is made of: nothing that was asked for is left out without a word. */
import t from 'tap'
import { catalogue, reference } from '../../../bench/scenarios/catalogue.js'
import type { Scenario } from '../../../bench/scenarios/scenario.js'
import { select } from '../../../bench/selection.js'
import { shapes } from '../../../bench/shapes/catalogue.js'

/** As on a machine that has all it takes. */
const complete: readonly Scenario[] = catalogue.map(each =>
  each === reference ? each : { ...each, lacks: () => null }
)

function names(each: readonly { readonly name: string }[]): string[] {
  return each.map(({ name }) => name)
}

t.test('by default everything, in the quick run the core scenarios and no shapes', async t => {
  const all = select({ only: null, quick: false }, complete, shapes)
  const core = select({ only: null, quick: true }, complete, shapes)

  t.strictSame(names(all.scenarios), names(catalogue))
  t.strictSame(names(all.shapes), names(shapes))
  t.strictSame(names(core.scenarios), names(catalogue.filter(each => each.onlyInFull !== true)))
  t.ok(core.scenarios.includes(reference))
  t.strictSame(core.shapes, [])
  t.strictSame([all.notRun, core.notRun], [[], []])
})

t.test('by name also what the quick run leaves out; scenarios bring the reference, shapes need none', async t => {
  const scenario = select({ only: ['ttl-cache'], quick: true }, complete, shapes)
  const shape = select({ only: ['bodies'], quick: true }, complete, shapes)

  t.strictSame(names(scenario.scenarios), [reference.name, 'ttl-cache'])
  t.strictSame([names(shape.scenarios), names(shape.shapes)], [[], ['bodies']])
})

t.test('a scenario whose program is missing is named with the way to get it, the others are run', async t => {
  const reason = 'nginx is not installed; on Debian or Ubuntu: apt-get install nginx'
  const lacking = complete.map(each => (each.name === 'nginx' ? { ...each, lacks: () => reason } : each))
  const { scenarios, notRun } = select({ only: ['nginx', 'ttl-cache'], quick: false }, lacking, shapes)

  t.strictSame(notRun, [{ name: 'nginx', reason }])
  t.strictSame(names(scenarios), [reference.name, 'ttl-cache'])
})

t.test('a name that is not there is an error that lists those that are', async t => {
  t.throws(() => select({ only: ['ngnix'], quick: false }, complete, shapes), /no ngnix; there are .*nginx.*bodies/)
})

t.test('no scenario and shape share a name', async t => {
  const all = names([...catalogue, ...shapes])

  t.equal(new Set(all).size, all.length)
})
