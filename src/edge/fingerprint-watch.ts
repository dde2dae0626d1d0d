/**
 * What becomes of a decision about a session's fingerprint: a line, a number, and in mode `revoke` the session's end.
 */
import type { Logger } from 'pino'
import type { Env } from '../config/env.js'
import { FingerprintGuard } from '../session/fingerprint-guard.js'
import type { SessionResolver } from '../session/resolve-session.js'
import type { SessionStore } from '../session/session-store.js'
import type { Metrics } from './metrics.js'

/** Null: nothing is compared. */
export function watchFingerprints(
  { sessionFingerprint: mode }: Env,
  store: SessionStore,
  metrics: Metrics,
  log: Logger
): FingerprintGuard | null {
  if (mode === 'off') return null
  return new FingerprintGuard({
    mode,
    end: token => store.deleteByToken(token, 'fingerprint'),
    onDecision: decision => {
      log.warn({ event: 'session.fingerprint', ...decision })
      metrics.authEvent('session.fingerprint', decision.action)
    }
  })
}

export type EndStranger = (token: string, userAgent: string, address: string) => Promise<void>

/** For the door to Better Auth, which looks its sessions up itself: one that is ended here is not found there. */
export function endStrangers(guard: FingerprintGuard | null, resolver: SessionResolver): EndStranger | null {
  if (guard === null) return null
  return async (token, userAgent, address) => {
    const { session } = await resolver.resolve(token, false)
    if (session === null || !guard.isStranger(session, userAgent, address)) return
    await guard.end(session, token, userAgent, address)
  }
}
