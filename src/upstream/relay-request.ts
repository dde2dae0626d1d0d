/** What `relay` is told of a request, and what it tells of its end. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { GatewayError } from '../errors.js'
import type { AnswerPolicy } from './response-headers.js'
import type { Upstream } from './upstream-pool.js'

export interface RelayRequest {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly upstream: Upstream
  /** Canonical path and untouched query. */
  readonly path: string
  /** Complete, see `requestFields`. */
  readonly fields: string
  readonly policy: AnswerPolicy
  /** True when the server's `checkContinue` event brought the request: no 100 (Continue) has been sent. */
  readonly awaitsContinue: boolean
  /** The answer goes on after its first piece. What it returns is called when that is over. */
  readonly onStream: (headers: readonly string[]) => () => void
  /** Null: an ordinary request. Else a handshake whose 101 and connection are handed over here; an error refuses it. */
  readonly onSwitch: ((rawHeaders: readonly string[], socket: Socket) => GatewayError | null) | null
}

export interface RelayOutcome {
  /**
   * answered: the upstream's answer was passed on, whatever its status;
   * switched: `onSwitch` has taken over the connections of both sides;
   * failed: nothing reached the client, the caller answers `error`;
   * cut: the upstream died in the middle of its answer and the client's connection was destroyed, `error` says why;
   * aborted: the client went away first.
   */
  readonly end: 'answered' | 'switched' | 'failed' | 'cut' | 'aborted'
  readonly error: GatewayError | null
  /** From the first try to the end, milliseconds. */
  readonly upstreamMs: number
}
