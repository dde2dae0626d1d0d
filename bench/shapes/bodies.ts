/** A mebibyte in one go, down and up, against the same through F0. */
import { failuresIn, type Measurement } from '../load.js'
import { gatewayLocal } from '../scenarios/gateway.js'
import { httpProxy } from '../scenarios/http-proxy.js'
import type { Gate } from '../scenarios/scenario.js'
import { alternate, cpuRatios, type Figure, figure, ratios, type Shape, type ShapeContext } from './shape.js'

const BYTES = 2 ** 20
const MEGABYTE = 1e6
const CONNECTIONS = 16

export const bodies: Shape = {
  name: 'bodies',
  what: `bodies of 1 MiB down and up, ${CONNECTIONS} connections`,
  seconds: ({ rounds, seconds, warmUpSeconds }) => 4 + rounds * 4 * (seconds + warmUpSeconds),
  run: async context => {
    const [f0, own] = [await context.gateOf(httpProxy), await context.gateOf(gatewayLocal)]
    const { rounds } = context.options
    const send = (upload: boolean) =>
      alternate(
        rounds,
        () => measure(context, f0, '/bytes', upload),
        () => measure(context, own, '/cached/bytes', upload)
      )
    const [down, up] = [await send(false), await send(true)]
    return {
      figures: { ...figuresOf('down', down), ...figuresOf('up', up) },
      problems: failuresIn([...down, ...up].flat())
    }
  }
}

function measure({ generator, options, stack }: ShapeContext, gate: Gate, path: string, upload: boolean) {
  return generator({
    url: `${gate.origin}${path}`,
    connections: CONNECTIONS,
    warmUpSeconds: options.warmUpSeconds,
    seconds: options.seconds,
    cookies: stack.sessions.slice(0, CONNECTIONS).map(({ cookie }) => cookie),
    watch: { gate: gate.pids },
    ...(upload ? { post: { bytes: BYTES, headers: { origin: gate.origin } } } : {})
  })
}

function figuresOf(direction: string, pairs: readonly [Measurement, Measurement][]): Record<string, Figure> {
  const speed = (which: 0 | 1) => pairs.map(pair => (pair[which].rps * BYTES) / MEGABYTE)
  return {
    [`${direction}, http-proxy`]: figure(speed(0), 'MB/s', null),
    [`${direction}, session-gateway`]: figure(speed(1), 'MB/s', null),
    [`${direction}, × F0`]: figure(
      ratios(pairs, ({ rps }) => rps),
      '×',
      'higher'
    ),
    [`${direction}, gate CPU × F0`]: figure(cpuRatios(pairs), '×', 'lower')
  }
}
