/**
 * `npm run bench`: starts all it needs, proves each scenario, measures them in interleaved rounds, writes
 * `results/latest.{json,md,svg}`. Exit 1 on any failed request, on a scenario that does other work than it says, and
 * when the time is up; whatever happens, every process it started is stopped.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startGenerator } from './load.js'
import { describeMachine, loadOfOthers } from './machine.js'
import { HELP, type Options, parseOptions } from './options.js'
import { installPeers } from './peers.js'
import { placeProcesses } from './placement.js'
import { stopAll } from './processes.js'
import { progress } from './progress.js'
import { markdown } from './report.js'
import { type Results, summarise } from './results.js'
import { expectedSeconds, runRounds } from './rounds.js'
import { catalogue, chooseScenarios } from './scenarios/catalogue.js'
import type { Gate, Scenario } from './scenarios/scenario.js'
import { type Stack, startStack } from './stack.js'
import { svg } from './plot.js'
import { verify } from './verify.js'

const SET_UP_MS = 120_000
const BUSY_LOAD = 0.5

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  if (options === null) {
    console.log(`${HELP}\n\nscenarios: ${catalogue.map(({ name }) => name).join(', ')}`)
    return 0
  }
  const scenarios = chooseScenarios(options.only)
  installPeers()
  const expectedMs = expectedSeconds(options, scenarios) * 1_000
  endAfter(SET_UP_MS + expectedMs * 1.5)

  const results = await measure(options, scenarios, args, expectedMs)
  write(results)
  console.log(
    `\n${markdown(results)
      .split('\n')
      .filter(line => line.startsWith('|'))
      .join('\n')}`
  )
  console.log('\nwritten to bench/results/: latest.json, latest.md, latest.svg')
  const errors = Object.entries(results.scenarios).filter(([, scenario]) => scenario.errors > 0)
  for (const [name, scenario] of errors) console.error(`${name}: ${scenario.errors} failed requests`)
  return errors.length === 0 ? 0 : 1
}

async function measure(
  options: Options,
  scenarios: readonly Scenario[],
  args: readonly string[],
  expectedMs: number
): Promise<Results> {
  const loadBefore = loadOfOthers()
  const placement = placeProcesses()
  console.log(placement.description)
  if (loadBefore > BUSY_LOAD)
    console.log(`this machine is already busy (load ${loadBefore.toFixed(1)}): expect a wide spread`)
  const stack = await startStack(placement)
  const gates = await openGates(scenarios, stack)
  const generator = await startGenerator()
  console.log(`${scenarios.length} scenarios proven; measuring for about ${Math.ceil(expectedMs / 60_000)} min`)
  const slots = await runRounds({ options, stack, generator, gates, onSlot: progress(options.rounds) })
  const command = ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' ')
  return summarise(slots, describeMachine(stack, command, loadBefore), options.rounds)
}

async function openGates(scenarios: readonly Scenario[], stack: Stack): Promise<Map<Scenario, Gate>> {
  const opened = new Map<Scenario['open'], Gate>()
  const gates = new Map<Scenario, Gate>()
  for (const scenario of scenarios) {
    const gate = opened.get(scenario.open) ?? (await scenario.open(stack))
    opened.set(scenario.open, gate)
    gates.set(scenario, gate)
    await verify(scenario, gate, stack.sessions)
  }
  return gates
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
