/**
 * Asks every target of an upstream for its health path, on a new connection each time: a check shall find what a new
 * call would find, name resolution and TLS included. The first one goes out at once; the gateway waits for none, and
 * a target counts as well until two have failed. No key and no identity go with it.
 */
import { type buildConnector, Client } from 'undici'
import type { UpstreamConfig } from '../config/gateway-file.js'
import { connectorOf } from './connector.js'
import type { Target } from './target.js'

/** A target that needs longer to say that it is well is not. */
const LONGEST_CHECK_MS = 2000
/** Several gateways shall not ask all at the same moment. */
const JITTER = 0.2

/** Until `signal` is aborted. Its timers keep no process alive. */
export function checkTargets(
  targets: readonly Target[],
  { health, headersTimeoutMs, tls }: Pick<UpstreamConfig, 'health' | 'headersTimeoutMs' | 'tls'>,
  signal: AbortSignal
): void {
  if (health === null) return
  const { path, intervalMs } = health
  const timeoutMs = Math.min(LONGEST_CHECK_MS, headersTimeoutMs)
  for (const target of targets) {
    const connect = connectorOf({ tls }, LONGEST_CHECK_MS)
    void keepAsking(target, { path, intervalMs, timeoutMs, connect }, signal)
  }
}

interface Check {
  readonly path: string
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly connect: buildConnector.connector
}

async function keepAsking(target: Target, check: Check, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const problem = await problemOf(target.origin, check, signal)
    if (signal.aborted) return
    target.health.checked(problem)
    await pause(check.intervalMs * (1 + JITTER * (Math.random() - 0.5)), signal)
  }
}

/** Null for a 2xx. */
async function problemOf(
  origin: string,
  { path, timeoutMs, connect }: Check,
  ended: AbortSignal
): Promise<string | null> {
  // Not AbortSignal.any: Node 20 keeps each for as long as the oldest of them lives (nodejs/node#54614, #55351).
  const check = new AbortController()
  const end = (): void => check.abort(new DOMException('no answer', 'TimeoutError'))
  const timer = setTimeout(end, timeoutMs).unref()
  ended.addEventListener('abort', end)
  const client = new Client(origin, { connect })
  try {
    const { statusCode, body } = await client.request({ method: 'GET', path, signal: check.signal })
    // Read by nobody: the connection ends here.
    body.on('error', () => {}).destroy()
    return statusCode >= 200 && statusCode < 300 ? null : `check_${statusCode}`
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException
    return `check_${(typeof code === 'string' ? code : name).toLowerCase()}`
  } finally {
    clearTimeout(timer)
    ended.removeEventListener('abort', end)
    void client.destroy()
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms).unref()
    signal.addEventListener('abort', end)
  })
}
