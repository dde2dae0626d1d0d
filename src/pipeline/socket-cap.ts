/** How many WebSockets one user holds open in this process, upstream by upstream; handshakes under way count. */
export class SocketCap {
  readonly #open = new Map<string, number>()

  /** Null: there are `max` already. Else call what it returns, once, when the socket is gone. */
  take(upstream: string, userId: string, max: number): (() => void) | null {
    const key = `${upstream} ${userId}`
    const open = this.#open.get(key) ?? 0
    if (open >= max) return null
    this.#open.set(key, open + 1)
    return () => {
      const left = (this.#open.get(key) ?? 1) - 1
      if (left > 0) this.#open.set(key, left)
      else this.#open.delete(key)
    }
  }
}
