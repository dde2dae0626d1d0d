/** Proof that a scenario does the work it is measured for: who is let in, who is not, and what the upstream learns. */
import type { Gate, Scenario } from './scenarios/scenario.js'
import { cookieOf, OTHER_SECRET, type SeededSession } from './sessions.js'

const SAMPLE = 5

export async function verify(scenario: Scenario, gate: Gate, sessions: readonly SeededSession[]): Promise<void> {
  const url = `${gate.origin}${scenario.path}?identity`
  for (const session of sessions.slice(0, SAMPLE)) {
    const response = await fetch(url, { headers: { cookie: session.cookie } })
    expect(scenario, 'status with a live session', response.status, 200)
    const { userId } = (await response.json()) as { userId: string | null }
    expect(scenario, 'user the upstream was told of', userId, scenario.guarded ? session.userId : null)
  }
  const stranger = scenario.guarded ? 401 : 200
  expect(scenario, 'status without a cookie', await statusOf(url, {}), stranger)
  const [victim] = sessions
  const forged = cookieOf(victim?.token ?? '', OTHER_SECRET)
  expect(scenario, 'status with a forged cookie', await statusOf(url, { cookie: forged }), stranger)
}

async function statusOf(url: string, headers: Record<string, string>): Promise<number> {
  const response = await fetch(url, { headers })
  await response.arrayBuffer()
  return response.status
}

/**
 * What the gate's own count says a measurement asked, against what it was measured for. Every session may have
 * expired once meanwhile, and is then asked for again by whoever comes before it is filled. Null: as it should be.
 */
export function otherWorkIn(
  scenario: Scenario,
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
  requests: number,
  sessions: number
): string | null {
  // A machine that stands still for seconds is no property of the gate.
  if (requests === 0) return `${scenario.name}: not one request was answered`
  if (scenario.source === null) return null
  const asked = Object.keys(after).map(source => [source, (after[source] ?? 0) - (before[source] ?? 0)] as const)
  const total = asked.reduce((sum, [, count]) => sum + count, 0)
  const elsewhere = asked.reduce((sum, [source, count]) => (source === scenario.source ? sum : sum + count), 0)
  const allowed = scenario.source === 'none' ? 0 : 1.1 * sessions
  if (elsewhere <= allowed && (scenario.source === 'none' || total >= requests)) return null
  const seen = asked.map(([source, count]) => `${source} ${count}`).join(', ')
  return `${scenario.name}: ${requests} requests, but look-ups were: ${seen || 'none'}`
}

function expect(scenario: Scenario, what: string, actual: unknown, wanted: unknown): void {
  if (actual !== wanted) throw new Error(`${scenario.name}: ${what} is ${String(actual)}, not ${String(wanted)}`)
}
