/** What a connection is told of a call, and whom it tells what becomes of it. */
import type { Socket } from 'node:net'
import type { AnswerSink } from './answer-parser.js'
import type { OutgoingHead } from './request-head.js'
import type { Upload } from './upload.js'

export interface OutgoingCall extends OutgoingHead {
  readonly upload: Upload | null
  /** From the moment the upstream's connection has the whole request to the end of the answer's head. */
  readonly headersTimeoutMs: number
}

/** A call ends with `onEnd`, `onSwitch` or `onError`, exactly once. */
export interface CallListener extends AnswerSink {
  /** The first byte of an answer has come. */
  readonly onStart: () => void
  readonly onEnd: () => void
  /** After a 101: the socket, with nothing of HTTP left on it. */
  readonly onSwitch: (headers: string[], socket: Socket) => void
  /** The socket is gone; another call opens another one. */
  readonly onError: (error: NodeJS.ErrnoException) => void
}
