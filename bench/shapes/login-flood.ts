/** Ten sign-ins a second beside traffic. Each is 100 ms of scrypt, by Better Auth's default: one core's worth. */
import { setTimeout as sleep } from 'node:timers/promises'
import { startClient } from '../load.js'
import { openGateway } from '../scenarios/open-gateway.js'
import { sessionsOf } from '../sessions.js'
import { figure, percentile, ratios, type Shape } from './shape.js'

const TRAFFIC_PER_SECOND = 500
const SIGN_INS_PER_SECOND = 10
const USERS = 10
const PASSWORD = 'a password of the benchmark'

interface Pace {
  readonly url: string
  readonly cookies: readonly string[]
  readonly perSecond: number
  readonly seconds: number
}

/** Milliseconds. */
interface Paced {
  readonly requests: number
  readonly failed: number
  readonly p50: number
  readonly p99: number
}

interface SignIn {
  readonly ms: number
  readonly failed: boolean
}

export const loginFlood: Shape = {
  name: 'login-flood',
  what: `${TRAFFIC_PER_SECOND} requests a second at a fixed pace, without and beside ${SIGN_INS_PER_SECOND} sign-ins a second; limits lifted`,
  seconds: ({ rounds, seconds, warmUpSeconds }) => 10 + rounds * (2 * seconds + warmUpSeconds),
  run: async ({ options, stack }) => {
    const limits = { LOGIN_RATE_LIMIT_IP: '1000000/60s', LOGIN_RATE_LIMIT_ACCOUNT: '1000000/15m' }
    const { origin, stop } = await openGateway(stack, 'flooded', limits)
    for (let user = 0; user < USERS; user++) await ask(origin, 'sign-up', user)
    const cookies = sessionsOf('rotation', stack.sessions).map(({ cookie }) => cookie)
    const pace = await startClient<Pace, Paced>('pacer')
    const traffic = (seconds: number) =>
      pace({ url: `${origin}/cached/orders/7`, cookies, perSecond: TRAFFIC_PER_SECOND, seconds })

    await traffic(options.firstSeconds)
    const rounds: Round[] = []
    for (let round = 0; round < options.rounds; round++) {
      const alone = await traffic(options.seconds)
      const [beside, signIns] = await Promise.all([traffic(options.seconds), flood(origin, options.seconds)])
      rounds.push({ alone, beside, signIns })
    }
    await stop()
    return { figures: figuresOf(rounds), problems: problemsIn(rounds) }
  }
}

interface Round {
  readonly alone: Paced
  readonly beside: Paced
  readonly signIns: readonly SignIn[]
}

function figuresOf(rounds: readonly Round[]) {
  const pairs = rounds.map(({ alone, beside }) => [alone, beside] as const)
  const latency = (which: 0 | 1, of: (each: Paced) => number) =>
    figure(
      pairs.map(pair => of(pair[which])),
      'ms',
      null
    )
  const [p50, p99] = [(each: Paced) => each.p50, (each: Paced) => each.p99]
  const signInMs = rounds.map(({ signIns }) =>
    percentile(
      signIns.map(({ ms }) => ms),
      0.5
    )
  )
  return {
    'p50 without': latency(0, p50),
    'p50 beside': latency(1, p50),
    'p50, beside ÷ without': figure(ratios(pairs, p50), '×', 'lower'),
    'p99 without': latency(0, p99),
    'p99 beside': latency(1, p99),
    'p99, beside ÷ without': figure(ratios(pairs, p99), '×', 'lower'),
    'sign-in, p50': figure(signInMs, 'ms', 'lower')
  }
}

function problemsIn(rounds: readonly Round[]): string[] {
  const requests = rounds.reduce((sum, { alone, beside }) => sum + alone.failed + beside.failed, 0)
  const signIns = rounds.flatMap(each => each.signIns).filter(({ failed }) => failed).length
  return requests + signIns === 0 ? [] : [`${requests} requests and ${signIns} sign-ins failed`]
}

function flood(origin: string, seconds: number): Promise<SignIn[]> {
  return Promise.all(
    Array.from({ length: Math.round(seconds * SIGN_INS_PER_SECOND) }, async (_, index) => {
      await sleep((index * 1_000) / SIGN_INS_PER_SECOND)
      const begin = performance.now()
      const status = await ask(origin, 'sign-in', index % USERS)
      return { ms: performance.now() - begin, failed: status !== 200 }
    })
  )
}

async function ask(origin: string, what: 'sign-in' | 'sign-up', user: number): Promise<number> {
  const response = await fetch(`${origin}/api/auth/${what}/email`, {
    method: 'POST',
    headers: { origin, 'content-type': 'application/json' },
    body: JSON.stringify({ email: `flood-${user}@bench.example`, password: PASSWORD, name: 'Flood' })
  })
  await response.arrayBuffer()
  return response.status
}
