/** Proof that a scenario does the work it is measured for: who is let in, who is not, and what the upstream learns. */
import type { Gate, Scenario } from './scenarios/scenario.js'
import { cookieOf, type SeededSession } from './sessions.js'

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
  const forged = cookieOf(victim?.token ?? '', 'some-other-secret-of-the-same-length-or-so')
  expect(scenario, 'status with a forged cookie', await statusOf(url, { cookie: forged }), stranger)
}

async function statusOf(url: string, headers: Record<string, string>): Promise<number> {
  const response = await fetch(url, { headers })
  await response.arrayBuffer()
  return response.status
}

/** Nearly all look-ups of a measurement must have come from where the scenario says; entries may expire meanwhile. */
export function verifySource(
  scenario: Scenario,
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
  requests: number
): void {
  if (scenario.source === null) return
  const difference = (source: string) => (after[source] ?? 0) - (before[source] ?? 0)
  if (scenario.source === 'none') {
    const all = Object.keys(after).reduce((sum, source) => sum + difference(source), 0)
    expect(scenario, 'session look-ups', all, 0)
  } else if (difference(scenario.source) < requests * 0.95) {
    const seen = Object.keys(after).map(source => `${source} ${difference(source)}`)
    throw new Error(`${scenario.name}: ${requests} requests, but look-ups were ${seen.join(', ') || 'not counted'}`)
  }
}

function expect(scenario: Scenario, what: string, actual: unknown, wanted: unknown): void {
  if (actual !== wanted) throw new Error(`${scenario.name}: ${what} is ${String(actual)}, not ${String(wanted)}`)
}
