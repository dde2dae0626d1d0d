/**
 * An upgraded connection: bytes go through as they come, with back-pressure both ways, for as long as both sides like.
 * The one thing the gateway ever says in it is goodbye, in a close frame between two frames of the upstream's.
 */
import type { Socket } from 'node:net'
import { closeFrame, FrameBoundary } from './frame-boundary.js'

export interface TunnelOptions {
  readonly client: Socket
  readonly upstream: Socket
  /** What came behind the request already. */
  readonly head: Buffer
  /** Who takes nothing for so long is gone. */
  readonly stallMs: number
  /** Both sides are closed. */
  readonly onEnd: () => void
}

/** Idle is no reason to end; a peer that has vanished is, and only the network can tell. */
const KEEP_ALIVE_MS = 30_000
/** How long the rest of a frame may take, and how long a side may be silent after the other one has ended. */
const FRAME_REST_MS = 50
const LINGER_MS = 1000
const HALF_OPEN_MS = 10_000

export class Tunnel {
  readonly #options: TunnelOptions
  readonly #boundary = new FrameBoundary()
  /** The close frame to send at the next boundary. */
  #goodbye: Buffer | null = null
  #ending = false
  #timer: NodeJS.Timeout | undefined
  /** By who takes nothing; each has a time of its own. */
  readonly #stalled = new Map<Socket, NodeJS.Timeout>()
  #open = 2

  constructor(options: TunnelOptions) {
    this.#options = options
    const { client, upstream, head } = options
    for (const socket of [client, upstream]) {
      socket.setTimeout(0).setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS)
      socket.on('error', ignore).on('close', this.#onClose).on('timeout', this.#onSilence)
    }
    if (head.length > 0) upstream.write(head)
    client.on('data', this.#onClientData).on('end', this.#onClientEnd).on('drain', this.#onClientDrain)
    upstream.on('data', this.#onUpstreamData).on('end', this.#onUpstreamEnd).on('drain', this.#onUpstreamDrain)
    client.resume()
    upstream.resume()
    // What happened while the upstream was asked is not said again.
    if (client.closed) this.#onClose()
    else if (client.readableEnded) this.#onClientEnd()
  }

  /** Nothing of the client's passes from now on, and of the upstream's only the rest of a frame under way. */
  end(code: number, reason: string): void {
    if (this.#ending) return
    this.#ending = true
    this.#goodbye = closeFrame(code, reason)
    const { client } = this.#options
    client.off('data', this.#onClientData).resume()
    if (this.#boundary.reached) this.#sayGoodbye()
    else this.#timer = setTimeout(() => this.#destroy(), FRAME_REST_MS)
  }

  #sayGoodbye(): void {
    const { client, upstream } = this.#options
    if (this.#goodbye !== null && !this.#boundary.closed && client.writable) client.write(this.#goodbye)
    this.#goodbye = null
    upstream.destroy()
    client.end()
    clearTimeout(this.#timer)
    // Closing it with unread bytes would make a reset of it, which can overtake the frame.
    this.#timer = setTimeout(() => client.destroy(), LINGER_MS)
  }

  readonly #onClientData = (chunk: Buffer): void => {
    this.#pass(chunk, this.#options.client, this.#options.upstream)
  }

  readonly #onUpstreamData = (chunk: Buffer): void => {
    const { client, upstream } = this.#options
    if (this.#goodbye === null) {
      this.#boundary.follow(chunk)
      this.#pass(chunk, upstream, client)
    } else {
      this.#pass(chunk.subarray(0, this.#boundary.finish(chunk)), upstream, client)
      if (this.#boundary.reached) this.#sayGoodbye()
    }
  }

  #pass(chunk: Buffer, from: Socket, to: Socket): void {
    if (!to.writable || to.write(chunk)) return
    from.pause()
    const stalled = this.#stalled.get(to) ?? setTimeout(() => this.#destroy(), this.#options.stallMs)
    this.#stalled.set(to, stalled)
  }

  readonly #onClientDrain = (): void => this.#flowAgain(this.#options.upstream, this.#options.client)
  readonly #onUpstreamDrain = (): void => this.#flowAgain(this.#options.client, this.#options.upstream)

  #flowAgain(from: Socket, to: Socket): void {
    clearTimeout(this.#stalled.get(to))
    this.#stalled.delete(to)
    from.resume()
  }

  readonly #onClientEnd = (): void => this.#halfOpen(this.#options.upstream)
  readonly #onUpstreamEnd = (): void => this.#halfOpen(this.#options.client)

  /** A WebSocket has no use for one direction: the other side gets time to finish, and no more. */
  #halfOpen(other: Socket): void {
    other.end()
    this.#options.client.setTimeout(HALF_OPEN_MS)
    this.#options.upstream.setTimeout(HALF_OPEN_MS)
  }

  readonly #onSilence = (): void => this.#destroy()

  readonly #onClose = (): void => {
    const { client, upstream, onEnd } = this.#options
    this.#open--
    if (this.#open === 0) {
      clearTimeout(this.#timer)
      for (const timer of this.#stalled.values()) clearTimeout(timer)
      onEnd()
    } else if (client.destroyed) upstream.destroy()
    else if (!this.#ending) {
      if (upstream.errored) client.destroy()
      else client.end()
      // What is still on its way shall reach it.
      client.resume().setTimeout(HALF_OPEN_MS)
    }
  }

  #destroy(): void {
    this.#options.client.destroy()
    this.#options.upstream.destroy()
  }
}

function ignore(): void {}
