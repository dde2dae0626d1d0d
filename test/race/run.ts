/**
 * `npm run race [-- --design naive] [-- --sessions 10000]`: starts PostgreSQL, Redis and two gateways, races 10,000
 * sign-outs against their readers, and prints what was accepted late. Exit 1 when anything was, 2 when it could not be
 * measured. What it starts ends with it.
 */
import { parseArgs } from 'node:util'
import { getFrom, type GatewayPair, startGatewayPair } from '../support/gateway-pair.js'
import { gatewayDesign, naiveDesign } from './designs.js'
import { type RaceResult, runRace } from './race.js'

const DESIGNS = {
  gateway: { create: gatewayDesign, env: {} },
  /** Without memory every look-up goes to Redis. */
  redis: { create: gatewayDesign, env: { SESSION_LOCAL_LEASE: '0' } },
  naive: { create: naiveDesign, env: {} }
}
const PROGRESS_MS = 2_000

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { design: { type: 'string', default: 'gateway' }, sessions: { type: 'string', default: '10000' } }
  })
  const sessions = Number(values.sessions)
  const design = DESIGNS[values.design as keyof typeof DESIGNS]
  if (design === undefined || !Number.isInteger(sessions) || sessions < 1) {
    throw new Error('npm run race [-- --design gateway|redis|naive] [-- --sessions <number>]')
  }

  const closing: (() => unknown)[] = []
  process.once('SIGINT', () => void closeAll(closing).then(() => process.exit(2)))
  try {
    const scope = { teardown: (close: () => unknown) => closing.push(close) }
    const pair = await startGatewayPair(scope, { env: { LOG_LEVEL: 'error', ...design.env } })
    const create = async (count: number) => {
      // The echo upstream remembers every request.
      ;(pair.upstream.received as unknown[]).length = 0
      return (await pair.person({ sessions: count })).sessions
    }
    const result = await runRace({
      design: design.create(scope, pair),
      sessions,
      create,
      onProgress: reporter(sessions)
    })
    console.log(table(values.design, result))
    if (design !== DESIGNS.naive) console.log(await sources(pair))
    return result.late.length > 0 ? 1 : 0
  } finally {
    await closeAll(closing)
  }
}

async function closeAll(closing: (() => unknown)[]): Promise<void> {
  for (let close = closing.pop(); close !== undefined; close = closing.pop()) await close()
}

function reporter(sessions: number): (done: number, late: number) => void {
  const begunAt = performance.now()
  let toldAt = begunAt
  return (done, late) => {
    const now = performance.now()
    if (now < toldAt + PROGRESS_MS) return
    toldAt = now
    console.log(`${done} of ${sessions} sessions, ${late} late, ${Math.round((now - begunAt) / 1000)} s`)
  }
}

function table(design: string, result: RaceResult): string {
  const { sessions, requests, after, late, lateSessions, answered, unanswered } = result
  const rows = [
    ['design', design],
    ['sign-outs', `${sessions}, ${unanswered} of them not answered with 200`],
    ['requests', `${requests}, ${after} of them sent after the answer`],
    ['accepted late', `${late.length} requests, ${lateSessions} sessions`],
    ['late by, ms', percentiles(late)],
    ['sign-out answered after, ms', percentiles(answered)]
  ]
  return ['', ...rows.map(([name = '', value = '']) => `${name.padEnd(30)}${value}`)].join('\n')
}

function percentiles(values: readonly number[]): string {
  if (values.length === 0) return 'none'
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) => (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1)
  return `p50 ${at(0.5)}  p95 ${at(0.95)}  p99 ${at(0.99)}  max ${at(1)}`
}

/** Zero late would mean little, had every look-up asked PostgreSQL. */
async function sources({ a, b }: GatewayPair): Promise<string> {
  const pages = await Promise.all(
    [a, b].map(({ opsPort }) => getFrom({ port: opsPort }, '/metrics').then(r => r.text()))
  )
  const lines = pages.flatMap(page => page.split('\n'))
  const count = (source: string) =>
    lines
      .filter(line => line.includes('session_lookups_total{') && line.includes(`source="${source}"`))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  const text = ['local', 'redis', 'postgres'].map(source => `${source} ${count(source)}`).join('  ')
  return `${'look-ups by source'.padEnd(30)}${text}`
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  return 2
})
