/** From nothing to the first answer behind a session, and the memory of a process that has nothing to do. */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { failure, type Started } from '../processes.js'
import { untilAnswered } from '../ready.js'
import { launchHttpProxy } from '../scenarios/http-proxy.js'
import { launchGateway, migrate } from '../scenarios/open-gateway.js'
import { seedDatabase } from '../seed.js'
import { alternate, figure, ratios, type Shape } from './shape.js'

const IDLE_MS = 1_000

export const coldStart: Shape = {
  name: 'cold-start',
  what: 'from the start of the process to the first 200, of the gateway for a session in PostgreSQL; memory when idle',
  seconds: ({ rounds }) => rounds * 5,
  run: async ({ options, stack }) => {
    const [session] = stack.sessions
    if (session === undefined) throw new Error('no session was made')
    await migrate(stack, 'cold')
    await seedDatabase(stack.databaseUrl('cold'), 'auth', [session])

    const headers = { cookie: session.cookie }
    const pairs = await alternate(
      options.rounds,
      () => live('/orders/7', headers, () => launchHttpProxy(stack)),
      () => live('/cached/orders/7', headers, () => launchGateway(stack, 'cold'))
    )
    return { figures: figuresOf(pairs), problems: [] }
  }
}

interface Life {
  readonly startMs: number
  readonly idleMiB: number
}

async function live(
  path: string,
  headers: Record<string, string>,
  launch: () => Promise<Started & { origin: string }>
): Promise<Life> {
  const begin = performance.now()
  const { origin, child, pid, stop } = await launch()
  await Promise.race([untilAnswered(`${origin}${path}`, 200, headers), failure(child)])
  const startMs = performance.now() - begin
  await sleep(IDLE_MS)
  const idleMiB = await residentMiB(pid)
  await stop()
  return { startMs, idleMiB }
}

/** NaN where there is no /proc. */
async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) / 1_024
}

function figuresOf(pairs: readonly [Life, Life][]) {
  const [start, idle] = [({ startMs }: Life) => startMs, ({ idleMiB }: Life) => idleMiB]
  return {
    'http-proxy, first 200': figure(
      pairs.map(([f0]) => start(f0)),
      'ms',
      null
    ),
    'session-gateway, first 200': figure(
      pairs.map(([, own]) => start(own)),
      'ms',
      null
    ),
    'first 200, × F0': figure(ratios(pairs, start), '×', 'lower'),
    'http-proxy, resident when idle': figure(
      pairs.map(([f0]) => idle(f0)),
      'MiB',
      null
    ),
    'session-gateway, resident when idle': figure(
      pairs.map(([, own]) => idle(own)),
      'MiB',
      'lower'
    )
  }
}
