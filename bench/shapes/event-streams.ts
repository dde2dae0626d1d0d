/** Server-sent events: one upstream tells many clients at the same moments, each behind a session of its own. */
import { startClient } from '../load.js'
import { gatewayLocal } from '../scenarios/gateway.js'
import { httpProxy } from '../scenarios/http-proxy.js'
import type { Gate } from '../scenarios/scenario.js'
import { alternate, figure, ratios, type Shape } from './shape.js'

/** Below the 128 connections F0 may have: a stream holds one. */
const STREAMS = 100

interface Subscription {
  readonly url: string
  readonly cookies: readonly string[]
  readonly seconds: number
  readonly pids: readonly number[]
}

/** Latencies in milliseconds, processor time in microseconds. */
interface Received {
  readonly messages: number
  readonly perSecond: number
  readonly lost: number
  readonly broken: number
  readonly p50: number
  readonly p99: number
  readonly cpuPerMessage: number | null
}

export const eventStreams: Shape = {
  name: 'event-streams',
  what: `${STREAMS} streams of server-sent events at 20 messages a second each`,
  seconds: ({ rounds, seconds }) => 4 + rounds * 2 * (seconds + 0.5),
  run: async ({ gateOf, options, stack }) => {
    const [f0, own] = [await gateOf(httpProxy), await gateOf(gatewayLocal)]
    const subscribe = await startClient<Subscription, Received>('subscribers')
    const cookies = stack.sessions.slice(0, STREAMS).map(({ cookie }) => cookie)
    const listen = ({ origin, pids }: Gate, path: string) =>
      subscribe({ url: `${origin}${path}`, cookies, seconds: options.seconds, pids })
    const pairs = await alternate(
      options.rounds,
      () => listen(f0, '/events'),
      () => listen(own, '/cached/events')
    )
    return { figures: figuresOf(pairs), problems: problemsIn(pairs.flat()) }
  }
}

function figuresOf(pairs: readonly [Received, Received][]) {
  const ours = (of: (each: Received) => number) => pairs.map(([, own]) => of(own))
  const against = (of: (each: Received) => number) => figure(ratios(pairs, of), '×', 'lower')
  return {
    'messages delivered': figure(
      ours(({ perSecond }) => perSecond),
      '/s',
      'higher'
    ),
    'messages lost': figure([total(pairs.flat(), ({ lost }) => lost)], 'in all', 'lower'),
    'delivered, p50': figure(
      ours(({ p50 }) => p50),
      'ms',
      null
    ),
    'delivered, p50 × F0': against(({ p50 }) => p50),
    'delivered, p99': figure(
      ours(({ p99 }) => p99),
      'ms',
      null
    ),
    'delivered, p99 × F0': against(({ p99 }) => p99),
    'gate CPU': figure(
      ours(({ cpuPerMessage }) => cpuPerMessage ?? Number.NaN),
      'µs/message',
      null
    ),
    'gate CPU × F0': against(({ cpuPerMessage }) => cpuPerMessage ?? Number.NaN)
  }
}

function problemsIn(received: readonly Received[]): string[] {
  const lost = total(received, each => each.lost)
  const broken = total(received, each => each.broken)
  return [...(lost === 0 ? [] : [`${lost} messages lost`]), ...(broken === 0 ? [] : [`${broken} streams broken`])]
}

function total(received: readonly Received[], of: (each: Received) => number): number {
  return received.reduce((sum, each) => sum + of(each), 0)
}
