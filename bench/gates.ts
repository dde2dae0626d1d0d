/** Opens a gate when it is first needed, and proves each scenario before its first measurement. */
import type { Gate, Scenario } from './scenarios/scenario.js'
import type { Stack } from './stack.js'
import { verify } from './verify.js'

export type Gates = (scenario: Scenario) => Promise<Gate>

export function createGates(stack: Stack): Gates {
  const opened = new Map<Scenario['open'], Promise<Gate>>()
  const proven = new Map<Scenario, Promise<Gate>>()

  async function prove(scenario: Scenario): Promise<Gate> {
    const pending = opened.get(scenario.open) ?? scenario.open(stack)
    opened.set(scenario.open, pending)
    const gate = await pending
    await verify(scenario, gate, stack.sessions)
    return gate
  }

  return scenario => {
    const gate = proven.get(scenario) ?? prove(scenario)
    proven.set(scenario, gate)
    return gate
  }
}
