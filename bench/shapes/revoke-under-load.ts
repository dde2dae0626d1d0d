/**
 * Sign-outs while both nodes of a fleet have each session in their own memory and one is kept busy. Every session is
 * asked for in turn at both, before, while and after it ends.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { failuresIn, type Measurement } from '../load.js'
import { untilAnswered } from '../ready.js'
import { launchGateway, openGateway } from '../scenarios/open-gateway.js'
import { type SeededSession, sessionsOf } from '../sessions.js'
import { figure, percentile, type Shape, type ShapeContext } from './shape.js'
import { type Ending, endSession } from './sign-out.js'

const EVERY_MS = 50
const WITHOUT_LOAD = 10

export const revokeUnderLoad: Shape = {
  name: 'revoke-under-load',
  what: 'twenty sign-outs a second at a node under full load, watched there and at a second node of the fleet',
  seconds: ({ rounds, seconds, warmUpSeconds }) => 12 + rounds * (seconds + warmUpSeconds + 2),
  run: async context => {
    const { options, stack } = context
    const busy = await openGateway(stack, 'revoked')
    const other = await launchGateway(stack, 'revoked')
    await untilAnswered(`${other.origin}/readyz`, 200)
    const rotating = sessionsOf('rotation', stack.sessions)
    const victims = stack.sessions.slice(rotating.length)

    const origins = [busy.origin, other.origin]
    await load(context, origins, options.firstSeconds)
    const rounds: Round[] = []
    const each = WITHOUT_LOAD + Math.round((options.seconds * 1_000) / EVERY_MS)
    for (let round = 0; round < options.rounds; round++) {
      const own = victims.slice(round * each, (round + 1) * each)
      rounds.push(await measure(context, origins, own))
    }
    await other.stop()
    await busy.stop()
    return outcome(rounds)
  }
}

interface Round {
  /** One after the other, before the traffic. */
  readonly quiet: readonly Ending[]
  readonly endings: readonly Ending[]
  readonly traffic: Measurement
}

async function measure(
  context: ShapeContext,
  origins: readonly string[],
  victims: readonly SeededSession[]
): Promise<Round> {
  const { options } = context
  const quiet = []
  for (const victim of victims.slice(0, WITHOUT_LOAD)) quiet.push(await endSession(origins, victim))
  // The last sign-outs are to be measured under load too.
  const traffic = load(context, origins, options.seconds + 0.5)
  await sleep(options.warmUpSeconds * 1_000)
  const pending = victims
    .slice(WITHOUT_LOAD)
    .map((victim, index) => sleep(index * EVERY_MS).then(() => endSession(origins, victim)))
  const endings = await Promise.all(pending)
  return { quiet, endings, traffic: await traffic }
}

/** At the first of them. */
function load({ generator, options, stack }: ShapeContext, [url]: readonly string[], seconds: number) {
  return generator({
    url: `${url}/cached/orders/7`,
    connections: options.connections,
    warmUpSeconds: options.warmUpSeconds,
    seconds,
    cookies: sessionsOf('rotation', stack.sessions).map(({ cookie }) => cookie),
    watch: {}
  })
}

function outcome(rounds: readonly Round[]) {
  const over = (of: (ending: Ending) => number, share: number) =>
    figure(
      rounds.map(({ endings }) => percentile(endings.map(of), share)),
      'ms',
      'lower'
    )
  const all = rounds.flatMap(({ quiet, endings }) => [...quiet, ...endings])
  const late = all.reduce((total, each) => total + each.lateAcceptances, 0)
  const failed = all.reduce((total, each) => total + each.failures, 0)
  const quietMs = rounds.map(({ quiet }) => percentile(quiet.map(answered), 0.5))
  return {
    figures: {
      'sign-outs': figure([all.length], 'in all', null),
      'answered without load, p50': figure(quietMs, 'ms', 'lower'),
      'answered, p50': over(answered, 0.5),
      'answered, p99': over(answered, 0.99),
      'refused at both nodes, p50': over(refused, 0.5),
      'refused at both nodes, p99': over(refused, 0.99),
      'accepted after the answer': figure([late], 'requests', 'lower'),
      'traffic meanwhile': figure(
        rounds.map(({ traffic }) => traffic.rps),
        'requests/s',
        null
      )
    },
    problems: [
      ...(late === 0 ? [] : [`${late} requests accepted after the sign-out was answered`]),
      ...(failed === 0 ? [] : [`${failed} sign-outs or questions failed`]),
      ...failuresIn(rounds.map(({ traffic }) => traffic))
    ]
  }
}

function answered({ answeredMs }: Ending): number {
  return answeredMs
}

function refused({ refusedMs }: Ending): number {
  return refusedMs
}
