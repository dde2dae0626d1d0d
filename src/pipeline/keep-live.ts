/**
 * Puts an answer that goes on under the session it was given for: when that ends, or loses the route's role, so does
 * it.
 */
import type { FastifyRequest } from 'fastify'
import type { Clock } from '../clock.js'
import type { Metrics } from '../edge/metrics.js'
import type { ErrorCode } from '../errors.js'
import { refusalOf } from '../routes/access.js'
import type { LiveConnection, LiveConnections } from '../session/live-connections.js'
import { matchedRoute } from './match-route.js'

export interface KeepLiveOptions {
  readonly live: LiveConnections
  /** The database's clock. */
  readonly databaseNow: Clock
  readonly metrics: Metrics
}

export interface LiveAnswer {
  readonly kind: LiveConnection['kind']
  /** False: it will be over by itself before a drain is. */
  readonly endsAtDrain: boolean
  /** Called at most once. */
  readonly end: (why: ErrorCode) => void
}

/** Call what it returns when the answer is over. */
export function keepLive(
  { exchange }: FastifyRequest,
  { kind, endsAtDrain, end }: LiveAnswer,
  { live, databaseNow, metrics }: KeepLiveOptions
): () => void {
  const { access } = matchedRoute(exchange)
  const { session, token, startedAt } = exchange
  let ended = false
  return live.add(
    {
      kind,
      // How fresh a sign-in was counts at the door: it would throw everybody out after a while.
      refusal: current => refusalOf({ ...access, freshMs: null }, current, databaseNow),
      end(why) {
        if (ended || (why === 'DRAINING' && !endsAtDrain)) return
        ended = true
        exchange.reason = why.toLowerCase()
        metrics.liveEnded(kind, why)
        end(why)
      }
    },
    session === null || token === null ? null : { token, session, since: startedAt }
  )
}
