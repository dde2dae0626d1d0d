/**
 * `npm run bench`: starts all it needs, proves each scenario, measures them in interleaved rounds, then the shapes, and
 * writes `results/latest.{json,md,svg}`. Exit 1 on any failed request, on a scenario that does other work than it says,
 * and when the time is up; whatever happens, every process it started is stopped.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCompare } from './compare.js'
import { createGates } from './gates.js'
import { type Generator, startGenerator } from './load.js'
import { describeMachine, loadOfOthers } from './machine.js'
import { HELP, type Options, parseOptions } from './options.js'
import { buildGateway, installPeers } from './peers.js'
import { placeProcesses } from './placement.js'
import { stopAll } from './processes.js'
import { progress } from './progress.js'
import { markdown } from './report.js'
import { problemsOf, type Results, summarise } from './results.js'
import { expectedSeconds, pairsOf, runRounds, turnsOf } from './rounds.js'
import { catalogue, reference } from './scenarios/catalogue.js'
import type { Gate, Scenario } from './scenarios/scenario.js'
import { select, type Selection } from './selection.js'
import { shapes } from './shapes/catalogue.js'
import { runShapes } from './shapes/run-shapes.js'
import { startStack, type Stack } from './stack.js'
import { svg } from './plot.js'

const SET_UP_MS = 180_000
const BUSY_LOAD = 0.5

async function main(args: readonly string[]): Promise<number> {
  if (args[0] === 'compare') return runCompare(args.slice(1))
  const options = parseOptions(args)
  if (options === null) {
    console.log(`${HELP}\n\nscenarios: ${namesOf(catalogue)}\nshapes: ${namesOf(shapes)}`)
    return 0
  }
  const selection = select(options, catalogue, shapes)
  for (const { name, reason } of selection.notRun) console.log(`not run: ${name}: ${reason}`)
  installPeers()
  buildGateway(join(import.meta.dirname, '..'))
  const expectedMs = 1_000 * secondsOf(options, selection)
  endAfter(SET_UP_MS + expectedMs * 1.5)

  const results = await measure(options, selection, args, expectedMs)
  write(results)
  console.log(`\n${tables(markdown(results))}`)
  console.log('\nwritten to bench/results/: latest.json, latest.md, latest.svg')
  const problems = problemsOf(results)
  for (const problem of problems) console.error(problem)
  return problems.length === 0 ? 0 : 1
}

function namesOf(each: readonly { readonly name: string }[]): string {
  return each.map(({ name }) => name).join(', ')
}

function secondsOf(options: Options, { scenarios, shapes: chosen }: Selection): number {
  const ofShapes = chosen.reduce((sum, shape) => sum + shape.seconds(options), 0)
  return ofShapes + (scenarios.length === 0 ? 0 : expectedSeconds(options, scenarios))
}

async function measure(
  options: Options,
  selection: Selection,
  args: readonly string[],
  expectedMs: number
): Promise<Results> {
  const loadBefore = loadOfOthers()
  const placement = placeProcesses()
  console.log(placement.description)
  if (loadBefore > BUSY_LOAD)
    console.log(`this machine is already busy (load ${loadBefore.toFixed(1)}): expect a wide spread`)
  const stack = await startStack(placement)
  const gateOf = createGates(stack)
  const gates = new Map<Scenario, Gate>()
  for (const scenario of selection.scenarios) gates.set(scenario, await gateOf(scenario))
  const generator: Generator = await startGenerator()
  console.log(`${gates.size} scenarios proven; measuring for about ${Math.ceil(expectedMs / 60_000)} min`)

  const onSlot = progress(turnsOf(options))
  const references = await openReferences(stack, gates)
  const slots = gates.size === 0 ? [] : await runRounds({ options, stack, generator, gates, references, onSlot })
  const measured = await runShapes(selection.shapes, { options, stack, generator, gateOf })
  const command = ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' ')
  return {
    ...summarise(slots, describeMachine(stack, command, loadBefore), turnsOf(options)),
    shapes: measured,
    not_run: selection.notRun
  }
}

/** The one that is open already is the first of them. */
async function openReferences(stack: Stack, gates: ReadonlyMap<Scenario, Gate>): Promise<Gate[]> {
  const first = gates.get(reference)
  if (first === undefined) return []
  const references = [first]
  const count = pairsOf([...gates.keys()])
  while (references.length < count) references.push(await createGates(stack)(reference))
  return references
}

function tables(page: string): string {
  return page
    .split('\n')
    .filter(line => /^(\||## )/.test(line))
    .join('\n')
}

function write(results: Results): void {
  const folder = join(import.meta.dirname, 'results')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'latest.json'), `${JSON.stringify(results, null, 2)}\n`)
  writeFileSync(join(folder, 'latest.md'), markdown(results))
  writeFileSync(join(folder, 'latest.svg'), svg(results))
}

/** A benchmark that hangs would hold its servers for ever. */
function endAfter(ms: number): void {
  setTimeout(() => void end(1, `not done after ${Math.round(ms / 1_000)} s`), ms).unref()
}

let ending = false

/** The first reason to end counts: what fails because everything is being stopped is no news. */
async function end(code: number, message?: string): Promise<void> {
  if (ending) return
  ending = true
  if (message !== undefined) console.error(message)
  await stopAll()
  process.exit(code)
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end(130, `\n${signal}`))

main(process.argv.slice(2)).then(
  code => end(code),
  (error: unknown) => end(1, error instanceof Error ? error.stack : String(error))
)
