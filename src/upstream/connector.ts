/** The one way to connect to a target: for calls, WebSockets, checks and the doctor. */
import { createSecureContext } from 'node:tls'
import { buildConnector } from 'undici'
import type { UpstreamConfig } from '../config/gateway-file.js'
import { lookUp } from './look-up.js'

/** Keeps TLS sessions for the next connection, so it is of one target only. */
export function connectorOf({ tls }: Pick<UpstreamConfig, 'tls'>, timeoutMs: number): buildConnector.connector {
  return buildConnector({
    timeout: timeoutMs,
    lookup: lookUp,
    // Said explicitly: NODE_TLS_REJECT_UNAUTHORIZED=0 does not reach these connections.
    rejectUnauthorized: true,
    // Once: Node would read the files' text again for every connection.
    ...(tls !== null && { secureContext: createSecureContext(tls) })
  })
}
