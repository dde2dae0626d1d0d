/** When a server of somebody else's can be asked: those of `servers/` report their port themselves. */
import { setTimeout as sleep } from 'node:timers/promises'

const WITHIN_MS = 20_000
const EVERY_MS = 20

/** Resolves at the first answer with that status, or of any where none is given. */
export async function untilAnswered(url: string, status?: number, headers: Record<string, string> = {}): Promise<void> {
  const deadline = performance.now() + WITHIN_MS
  while (performance.now() < deadline) {
    const response = await fetch(url, { headers }).catch(() => null)
    await response?.arrayBuffer()
    if (response !== null && (status === undefined || response.status === status)) return
    await sleep(EVERY_MS)
  }
  throw new Error(`${url} does not answer ${status ?? ''} after ${WITHIN_MS} ms`)
}
