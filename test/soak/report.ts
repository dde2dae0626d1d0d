/** The table at the end, and what was found in full. */
import type { SoakResult } from './soak.js'

export function table(result: SoakResult): string {
  const { perSecond, asker, people, changes, connections, timeline, leaks, outbox } = result
  const faults = new Map<string, number>()
  for (const { name } of timeline.faults) faults.set(name, (faults.get(name) ?? 0) + 1)
  const growth = leaks
    .growth()
    .map(({ node, minutes, from, to }) => `${node} ${from} to ${to} MB in ${minutes.toFixed(0)} min`)
  const rows = [
    ['rate', `${perSecond} per second; ${asker.skipped} not sent, as too many were under way`],
    ['answers', counts(asker.answers, status => (status === 0 ? 'none' : String(status)))],
    ['sessions', `${people.born}`],
    ['changes in force', counts(changes.answered)],
    ['changes nobody knows of', `${changes.unanswered}`],
    ['WebSockets and streams', `${connections.opened}; ${connections.aborted} uploads aborted`],
    ['faults', counts(faults)],
    ['machine stood still', `${timeline.stalls} times without a fault; a 5xx then is nobody’s`],
    ['memory', growth.join(', ') || 'no process lived for three minutes'],
    ['event loop, worst p99', `${Math.round(leaks.worstLag * 1_000)} ms`],
    ['outbox', `${outbox} rows`],
    ['violations', `${asker.violated}`]
  ]
  const lines = rows.map(([name = '', value = '']) => `${name.padEnd(26)}${value}`)
  return ['', ...lines, ...asker.violations.map(text => `\n${text}`)].join('\n')
}

function counts<T>(map: ReadonlyMap<T, number>, nameOf: (key: T) => string = String): string {
  return [...map].map(([key, count]) => `${nameOf(key)} ${count}`).join(', ')
}
