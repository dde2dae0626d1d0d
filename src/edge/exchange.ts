/**
 * The facts of one request, gathered stage by stage; one object of one shape per request.
 * `begin` creates it, the pipeline's stages fill it in, the access log and the metrics read it at the end.
 */
import type { IncomingMessage } from 'node:http'
import type { Route } from '../routes/route-table.js'
import type { Credential } from '../session/credential.js'
import type { LookupSource, Rotation, Session } from '../session/session.js'
import { type AnswerHeaders, NO_HEADERS } from '../session/session-renewal.js'
import type { Peer } from './client-address.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by `begin` before any other hook of ours runs. */
    exchange: Exchange
  }
}

const NOTHING_OFFERED: Credential = { kind: 'none' }

export class Exchange {
  readonly startedAt: number
  readonly requestId: string
  /** The other end of the socket. */
  readonly peerAddress: string
  /** The client's address: the socket's, or the first untrusted hop when the peer is a trusted proxy. */
  readonly clientAddress: string
  /** True when the peer's X-Forwarded-*, X-Request-ID and traceparent are believed. */
  readonly trustedPeer: boolean
  /** What a trusted proxy says of the way before it; empty when nobody is believed. */
  readonly forwardedFor: string
  /** What is decided on, as written: of this request, or at the forward-auth door of the one it tells about. */
  method: string
  target: string
  /** A trusted proxy may have put its own name into Host, and the client's into X-Forwarded-Host. */
  host: string
  /** Canonical path, without the query; empty until matched. */
  path = ''
  /** The query as it came, with its '?'; empty when there is none. */
  search = ''
  route: Route | null = null
  credential: Credential = NOTHING_OFFERED
  /** Null until proven; no error path sets it. */
  session: Session | null = null
  /** For the log, where Better Auth looked the session up and not a stage of ours. */
  userId: string | null = null
  /** The session's token: the one that was offered, or the one that it was changed for. Set with `session`. */
  token: string | null = null
  /** Its token is to be changed, or was. */
  rotation: Rotation | null = null
  source: LookupSource | null = null
  /** What the answer, whatever it will be, tells the client about its credential. */
  answerHeaders: AnswerHeaders = NO_HEADERS
  /** True once every stage has let the request through. */
  granted = false
  /** The connection carries another protocol now. */
  switched = false
  /** Why it was refused, a stable word for the log. */
  reason: string | null = null
  authMs = 0
  upstreamMs: number | null = null

  constructor(
    requestId: string,
    { peerAddress, clientAddress, trusted, forwardedFor }: Peer,
    { method, url, headers }: IncomingMessage
  ) {
    this.startedAt = performance.now()
    this.requestId = requestId
    this.peerAddress = peerAddress
    this.clientAddress = clientAddress
    this.trustedPeer = trusted
    this.forwardedFor = forwardedFor
    this.method = method ?? ''
    this.target = url ?? ''
    this.host = String((trusted && headers['x-forwarded-host']) || headers.host || '')
  }
}
