import { readFileSync } from 'node:fs'
import { allowedCores, WIDE_FROM } from '../placement.js'
import type { Stack } from '../stack.js'
import { openGateway } from './open-gateway.js'
import type { Gate, Scenario } from './scenario.js'

/** Two processes behind one port. On fewer cores they would only take turns with each other and with the generator. */
export const gatewayWorkers: Scenario = {
  name: 'gateway-workers-2',
  what: 'gateway-local with WORKERS=2 on two cores',
  path: '/cached/orders/7',
  guarded: true,
  source: 'local',
  onlyInFull: true,
  lacks: () => {
    const cores = allowedCores().length
    return cores >= WIDE_FROM ? null : `needs ${WIDE_FROM} cores and taskset; may use ${cores} here`
  },
  open: openWorkers
}

async function openWorkers(stack: Stack): Promise<Gate> {
  const wide = { ...stack, placement: { ...stack.placement, gatePrefix: stack.placement.widePrefix } }
  const gate = await openGateway(wide, 'gateway_workers', { WORKERS: '2' })
  return { ...gate, pids: [gate.pid, ...childrenOf(gate.pid)] }
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return text === '' ? [] : text.split(' ').map(Number)
}
