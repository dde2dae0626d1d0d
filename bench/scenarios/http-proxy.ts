import { reportedPort, type Started, start } from '../processes.js'
import { server, type Stack } from '../stack.js'
import { type Gate, plainGate, type Scenario } from './scenario.js'

export const httpProxy: Scenario = {
  name: 'http-proxy',
  what: 'F0: Fastify + @fastify/http-proxy, no authentication, no log',
  path: '/orders/7',
  guarded: false,
  source: null,
  open: launchHttpProxy
}

export async function launchHttpProxy({ placement, upstream }: Stack): Promise<Gate & Started> {
  const command = [...placement.gatePrefix, process.execPath, server('http-proxy')]
  const started = await start({ name: 'http-proxy', command, ipc: true, env: { UPSTREAM: upstream.url } })
  return { ...plainGate(await reportedPort(started), started.pid), ...started }
}
