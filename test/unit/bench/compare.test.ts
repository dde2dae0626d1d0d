/** What counts as a regression: worse by more than the rounds differ among themselves, and never a lucky round. */
import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Comparison, compare, isRegression } from '../../../bench/compare.js'
import type { Results } from '../../../bench/results.js'
import type { Figure } from '../../../bench/shapes/shape.js'
import type { Spread } from '../../../bench/statistics.js'
import { ROOT } from '../../support/root.js'

const rps = (low: number, high: number): Spread => ({ median: (low + high) / 2, low, high })
const even = rps(1, 1)

/** A run in which gateway-local made `requests` times as many as F0, at `cpu` times the processor time. */
function ran(requests: Spread, cpu: Spread | null = even, figures: Record<string, Figure> = {}): Results {
  return {
    machine: {},
    rounds: 3,
    scenarios: {},
    ratios: {
      'gateway-local/http-proxy': { rps: requests, cpu, p99: even },
      'gateway-local/better-auth-redis': { rps: requests, cpu, p99: even }
    },
    shapes: { bodies: { what: '', figures, problems: [] } },
    not_run: []
  }
}

function verdicts(before: Results, after: Results): Record<string, string> {
  return Object.fromEntries(compare(before, after).changes.map(({ what, verdict }) => [what, verdict]))
}

t.test('a lower median is no regression while the spreads overlap', async t => {
  const comparison = compare(ran(rps(1.4, 1.6)), ran(rps(1.1, 1.41)))

  t.strictSame(
    comparison.changes.map(({ verdict }) => verdict),
    ['same', 'same']
  )
  t.notOk(isRegression(comparison))
})

t.test('it is one when the best round after is below the worst before', async t => {
  const comparison = compare(ran(rps(1.4, 1.6)), ran(rps(1.1, 1.39)))

  t.match(comparison.changes, [{ what: 'gateway-local, requests × F0', verdict: 'worse' }, { verdict: 'same' }])
  t.ok(isRegression(comparison))
})

function ranBeside(name: string, requests: Spread): Results {
  return { ...ran(even), ratios: { [`${name}/http-proxy`]: { rps: requests, cpu: null, p99: even } } }
}

function slower(name: string): Comparison {
  return compare(ranBeside(name, rps(1.4, 1.6)), ranBeside(name, rps(1.0, 1.1)))
}

t.test('a peer that got slower is no regression of the gateway, a gateway behind nginx is one', async t => {
  t.match(slower('better-auth-redis').changes, [{ ours: false, verdict: 'worse' }])
  t.notOk(isRegression(slower('better-auth-redis')))
  for (const name of ['nginx-auth-request', 'gateway-80-20']) t.ok(isRegression(slower(name)), name)
})

t.test('more processor time for a request is a regression, less is not', async t => {
  const [slow, fast] = [ran(even, rps(0.9, 1)), ran(even, rps(0.6, 0.7))]

  t.equal(verdicts(fast, slow)['gateway-local, CPU × F0'], 'worse')
  t.equal(verdicts(slow, fast)['gateway-local, CPU × F0'], 'better')
  t.ok(isRegression(compare(fast, slow)))
  t.notOk(isRegression(compare(slow, fast)))
})

function figuresAt(value: number): Record<string, Figure> {
  const spread = rps(value, value)
  return {
    speed: { ...spread, unit: '×', better: 'higher' },
    memory: { ...spread, unit: 'MiB', better: 'lower' },
    pace: { ...spread, unit: '/s', better: null },
    unread: { ...JSON.parse('{"median":null,"min":null,"max":null}'), unit: 'MiB', better: 'lower' },
    'p99, large ÷ small': { ...spread, unit: '×', better: 'lower' }
  }
}

t.test('figures of shapes count as they are meant: higher, lower, or not at all; tails never', async t => {
  t.match(verdicts(ran(even, null, figuresAt(1)), ran(even, null, figuresAt(2))), {
    'bodies: speed': 'better',
    'bodies: memory': 'worse',
    'bodies: pace': undefined,
    'bodies: unread': undefined,
    'bodies: p99, large ÷ small': undefined
  })
})

t.test('errors of B are a regression, whatever its speed; a scenario of one run alone is named', async t => {
  const before = ran(even)
  const failed = { ...ran(even), shapes: { bodies: { what: '', figures: {}, problems: ['7 failed requests'] } } }
  const without = { ...ran(even), ratios: {} }

  t.strictSame(compare(before, failed).errors, ['bodies: 7 failed requests'])
  t.ok(isRegression(compare(before, failed)))
  t.strictSame(compare(before, without).onlyInOne, ['gateway-local'])
  t.notOk(isRegression(compare(before, without)))
})

/** Through the command line, as `npm run bench -- compare` does. */
async function exitCode(t: Test, before: object, after: object): Promise<number | null> {
  const files = { 'a.json': before, 'b.json': after }
  const folder = t.testdir({})
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), JSON.stringify(content))
  const args = ['--import', 'tsx', 'bench/run.ts', 'compare', ...Object.keys(files).map(name => join(folder, name))]
  return spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'ignore' }).status
}

t.test(
  'the command exits 0 for noise and 1 for a regression, also against a result from before there were shapes',
  async t => {
    const { shapes: _shapes, not_run: _notRun, ...old } = ran(rps(1.4, 1.6))

    t.equal(await exitCode(t, old, ran(rps(1.3, 1.5))), 0)
    t.equal(await exitCode(t, old, ran(rps(1.0, 1.1))), 1)
  }
)
