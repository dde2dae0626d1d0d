/**
 * `session-gateway doctor`: looks at the database, Redis and the upstreams as they are, and says what mends each
 * finding.
 */
import { parseArgs } from 'node:util'
import { environment } from '../config/dot-env.js'
import { loadConfig } from '../config/load-config.js'
import { checkRoutes } from '../routes/route-rules.js'
import type { Diagnosis, Level } from './diagnosis.js'
import { examinePostgres } from './doctor-postgres.js'
import { examineRedis } from './doctor-redis.js'
import { examineSecrets } from './doctor-secrets.js'
import { examineUpstreams } from './doctor-upstreams.js'
import { openLocal } from './local-parts.js'

export const help = `Usage: session-gateway doctor [--json]

Asks the database, Redis and every upstream what a running gateway would need of them, changes nothing, and prints a
line for each thing, with the SQL or command that mends it: tables, triggers, grants, clocks, connections, LISTEN,
Redis' version and memory policy, upstreams and their health paths, secrets. Run it where the gateway runs, with
its environment. Without DATABASE_URL it looks at the embedded PostgreSQL, made first if need be, as by 'start'.

  --json   one object: { "ok": true, "checks": [{ "level": "ok", "about": "postgres", "message": "...", "mend": [] }] }

Exit code: 0 nothing failed (there may be warnings), 1 something failed, 78 the configuration has problems.`

export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { json: { type: 'boolean', default: false } } })
  const { env, gateway } = loadConfig(environment(), checkRoutes)
  const upstreams = gateway?.upstreams ?? []
  const audiences = upstreams.flatMap(({ audience }) => audience ?? [])
  const local = await openLocal(env, line => console.error(line))
  let checks: Diagnosis[]
  try {
    const parts = await Promise.all([
      examinePostgres({ ...local, env, audiences }),
      examineRedis(env),
      examineUpstreams(upstreams)
    ])
    checks = [...examineSecrets(env, upstreams), ...parts.flat()]
  } finally {
    await local.close()
  }
  const failed = checks.filter(({ level }) => level === 'fail').length
  console.log(values.json ? JSON.stringify({ ok: failed === 0, checks }) : report(checks, isColourful()))
  return failed === 0 ? 0 : 1
}

/** ANSI: green, yellow, red. */
const COLOURS: Readonly<Record<Level, number>> = { ok: 32, warn: 33, fail: 31 }

/** https://no-color.org */
function isColourful(): boolean {
  return process.stdout.isTTY && !process.env['NO_COLOR']
}

function report(checks: readonly Diagnosis[], colourful: boolean): string {
  const width = Math.max(...checks.map(({ about }) => about.length))
  const lines = checks.flatMap(({ level, about, message, mend }) => {
    const word = level.padEnd(4)
    const shown = colourful ? `\u001B[${COLOURS[level]}m${word}\u001B[0m` : word
    return [`${shown}  ${about.padEnd(width)}  ${message}`, ...mend.map(line => `${' '.repeat(width + 8)}${line}`)]
  })
  return [...lines, summaryOf(checks)].join('\n')
}

function summaryOf(checks: readonly Diagnosis[]): string {
  const count = (level: Level) => checks.filter(check => check.level === level).length
  const [failed, warned] = [count('fail'), count('warn')]
  if (failed + warned === 0) return 'Nothing to mend.'
  return `${failed} failed, ${warned} ${warned === 1 ? 'warning' : 'warnings'}.`
}
