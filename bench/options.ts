/** What the command line asks for. */
import { parseArgs } from 'node:util'

export interface Options {
  readonly quick: boolean
  /** Names of scenarios and shapes; null: all, in `--quick` the core. */
  readonly only: readonly string[] | null
  readonly rounds: number
  /**
   * How often a round goes over the scenarios, each measurement that much shorter: what other tenants of the machine do
   * changes within seconds, and a pair of short measurements has more of it in common.
   */
  readonly turns: number
  readonly connections: number
  /** Load on each scenario before the first round. */
  readonly firstSeconds: number
  /** Before every measurement, with the same load. */
  readonly warmUpSeconds: number
  /** Of a round, for one scenario or shape. */
  readonly seconds: number
}

export const HELP = `npm run bench [-- options]

  --quick            the core scenarios in 2 short rounds, under two minutes in all
  --only a,b         these scenarios and shapes (and http-proxy, which the ratios need)
  --rounds n         default 5
  --seconds n        measured seconds per scenario and round, default 2.4
  --help             this text and all names

npm run bench -- compare A.json B.json

  what changed from A to B beyond the noise; exit 1 where B is worse`

/** Null when help was asked for. Throws on an unknown option. */
export function parseOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return null
  return {
    quick: values.quick,
    only: values.only?.split(',').map(name => name.trim()) ?? null,
    rounds: positive('--rounds', values.rounds, values.quick ? 2 : 5),
    turns: values.quick ? 3 : 4,
    connections: 64,
    firstSeconds: values.quick ? 1.5 : 3,
    warmUpSeconds: values.quick ? 0.1 : 0.2,
    seconds: positive('--seconds', values.seconds, values.quick ? 1.2 : 2.4)
  }
}

function positive(name: string, text: string | undefined, fallback: number): number {
  const value = text === undefined ? fallback : Number(text)
  if (!(value > 0)) throw new Error(`${name} must be a number above 0`)
  return value
}
