/**
 * A place for one call at a time on a connection to a target, so that a connection that fails, fails one call, and
 * whoever sends a call knows whether its connection has served before. Opened by the first call, and again by the first
 * one after it was closed. Why the client is our own: ADR 0013.
 */
import type { Socket } from 'node:net'
import type { CallListener, OutgoingCall } from './outgoing-call.js'
import type { Target } from './target.js'
import { lostConnection } from './upstream-error.js'
import { Wire } from './wire.js'

export class Connection {
  readonly target: Target
  #wire: Wire | null = null
  /** While it connects, for whom. */
  #opening: { readonly socket: Socket; readonly listener: CallListener } | null = null
  #hasServed = false
  #wasConnected = false
  #dead = false

  constructor(target: Target) {
    this.target = target
  }

  /** Before the call under way it answered another: it may have died unnoticed while idle. */
  get hasServed(): boolean {
    return this.#hasServed
  }

  /** False after a failure: the connection for the call did not come about, so the target has seen nothing of it. */
  get wasConnected(): boolean {
    return this.#wasConnected
  }

  get isDead(): boolean {
    return this.#dead
  }

  get isOld(): boolean {
    return this.#wire?.isOld === true
  }

  send(call: OutgoingCall, listener: CallListener): void {
    const wire = this.#wire
    this.#hasServed = wire?.hasServed === true
    this.#wasConnected = wire !== null
    if (wire === null) this.#open(call, listener)
    else wire.send(call, listener)
  }

  pause(): void {
    this.#wire?.pause()
  }

  resume(): void {
    this.#wire?.resume()
  }

  /** Ends the call that is on it, whose listener gets `onError`, and the connection for good. */
  kill(): void {
    if (this.#dead) return
    this.#dead = true
    this.#wire?.end(lostConnection())
    this.#failToOpen(lostConnection())
  }

  #open(call: OutgoingCall, listener: CallListener): void {
    let lastError: NodeJS.ErrnoException | null = null
    const onError = (error: Error) => {
      lastError = error
    }
    const onClose = () => this.#failToOpen(lastError ?? lostConnection())
    const socket = this.target.connect((...[error]) => {
      // 'close' follows an error, and says so for all.
      if (error !== null || this.#opening?.socket !== socket) return
      this.#opening = null
      this.#wasConnected = true
      socket.off('error', onError).off('close', onClose)
      this.#wire = new Wire(socket, this.target, this.#onGone)
      this.#wire.send(call, listener)
    })
    socket.on('error', onError).on('close', onClose)
    this.#opening = { socket, listener }
  }

  readonly #onGone = (): void => {
    this.#wire = null
  }

  #failToOpen(error: Error): void {
    const opening = this.#opening
    if (opening === null) return
    this.#opening = null
    opening.socket.destroy()
    opening.listener.onError(error)
  }
}
