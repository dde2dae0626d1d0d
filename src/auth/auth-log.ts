/**
 * Better Auth's own log lines, with everything private taken out: its messages quote e-mails and URLs,
 * and drizzle's errors print the parameters of the query, session tokens among them.
 */
import type { BetterAuthOptions } from 'better-auth'
import type { FastifyBaseLogger } from 'fastify'
import { databaseCode } from '../data/postgres-error.js'
import { isBadValue } from './handling.js'

type Logger = NonNullable<BetterAuthOptions['logger']>

const LONGEST = 200

export function createAuthLogger(log: FastifyBaseLogger): Logger {
  return {
    // Not 'warn' or 'error': then Better Auth prints every refused request a second time.
    level: 'info',
    log(level, message, ...details) {
      if (level === 'info' || level === 'debug') return
      const error = details.find(detail => detail instanceof Error)
      // Better Auth calls every refused origin an error; without an Error in hand nothing has failed.
      const severity = error === undefined || isBadValue(error) ? 'warn' : level
      log[severity]({ betterAuth: redact(String(message)), ...describe(error) }, 'better-auth')
    }
  }
}

/** Name, code and frames; no message. */
function describe(error: Error | undefined) {
  if (error === undefined) return {}
  const frames = (error.stack ?? '').split('\n').filter(line => /^\s+at /.test(line))
  return { error: error.name, code: databaseCode(error), frames: frames.map(line => line.trim()).slice(0, 5) }
}

/** E-mails, queries of URLs and everything long enough to be a secret, constants apart, become `[…]`. */
export function redact(text: string): string {
  return text
    .replace(/[^\s"'<>:,]+@[^\s"'<>,]+/g, '[e-mail]')
    .replace(/\?[^\s"'<>]*/g, '?[query]')
    .replace(/(?![A-Z_]+(?![\w+/=.~%-]))[\w+/=.~%-]{20,}/g, '[secret]')
    .slice(0, LONGEST)
}
