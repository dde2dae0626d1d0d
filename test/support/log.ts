/** A pino logger whose lines the test can read. */
import { PassThrough } from 'node:stream'
import type { FastifyBaseLogger } from 'fastify'
import { pino } from 'pino'

export interface CapturingLog {
  readonly log: FastifyBaseLogger
  readonly lines: () => Record<string, unknown>[]
  /** Everything that was logged, as text. */
  readonly text: () => string
}

export function capturingLog(): CapturingLog {
  const stream = new PassThrough()
  let text = ''
  stream.on('data', chunk => {
    text += chunk
  })
  const log = pino({ level: 'debug' }, stream) as unknown as FastifyBaseLogger
  return {
    log,
    text: () => text,
    lines: () =>
      text
        .split('\n')
        .filter(line => line !== '')
        .map(line => JSON.parse(line) as Record<string, unknown>)
  }
}
