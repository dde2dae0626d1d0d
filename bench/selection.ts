/** What a run is made of, and what it leaves out, with the reason. */
import type { Options } from './options.js'
import { reference } from './scenarios/catalogue.js'
import type { Scenario } from './scenarios/scenario.js'
import type { Shape } from './shapes/shape.js'

export interface NotRun {
  readonly name: string
  /** With the way to have it run. */
  readonly reason: string
}

export interface Selection {
  readonly scenarios: readonly Scenario[]
  readonly shapes: readonly Shape[]
  readonly notRun: readonly NotRun[]
}

/** To be called before processes are placed: what a scenario lacks may be cores. Throws on a name that is not there. */
export function select(
  { only, quick }: Pick<Options, 'only' | 'quick'>,
  catalogue: readonly Scenario[],
  shapes: readonly Shape[]
): Selection {
  const names = [...catalogue, ...shapes].map(({ name }) => name)
  const unknown = only?.filter(name => !names.includes(name)) ?? []
  if (unknown.length > 0) throw new Error(`there is no ${unknown.join(', ')}; there are ${names.join(', ')}`)

  const wanted = catalogue.filter(each => only?.includes(each.name) ?? !(quick && each.onlyInFull === true))
  const lacking = wanted.map(each => ({ name: each.name, reason: each.lacks?.() ?? null }))
  const notRun = lacking.flatMap(({ name, reason }) => (reason === null ? [] : [{ name, reason }]))
  const runnable = wanted.filter(({ name }) => !notRun.some(each => each.name === name))
  const chosenShapes = shapes.filter(each => only?.includes(each.name) ?? !quick)
  return {
    // Shapes alone bring their own reference.
    scenarios: runnable.length === 0 ? [] : catalogue.filter(each => each === reference || runnable.includes(each)),
    shapes: chosenShapes,
    notRun
  }
}
