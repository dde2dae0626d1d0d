/**
 * `doctor`: every target of every upstream, as a call would find it: a connection, TLS that is trusted, and its health
 * path.
 */
import { type buildConnector, Client } from 'undici'
import type { UpstreamConfig } from '../config/gateway-file.js'
import { connectorOf } from '../upstream/connector.js'
import { type Diagnosis, fail, ok, warn, wordsOf } from './diagnosis.js'

interface Answer {
  readonly target: string
  /** Null: fine. */
  readonly problem: string | null
  readonly detail: string
}

export async function examineUpstreams(upstreams: readonly UpstreamConfig[]): Promise<Diagnosis[]> {
  const found = await Promise.all(upstreams.map(examineUpstream))
  return found.flat()
}

async function examineUpstream(upstream: UpstreamConfig): Promise<Diagnosis[]> {
  const about = `upstream ${upstream.name}`
  const answers = await Promise.all(upstream.targets.map(target => ask(target, upstream)))
  const bad = answers.filter(({ problem }) => problem !== null)
  // While another one answers, calls are served.
  const severity = bad.length === answers.length ? fail : warn
  return answers.map(({ target, problem, detail }) =>
    problem === null ? ok(about, `${target} ${detail}`) : severity(about, `${target} ${problem}.`)
  )
}

async function ask(target: string, upstream: UpstreamConfig): Promise<Answer> {
  const { connectTimeoutMs, headersTimeoutMs, health } = upstream
  const connect = connectorOf(upstream, connectTimeoutMs)
  try {
    await reach(new URL(target), connect)
  } catch (error) {
    return { target, problem: `cannot be reached: ${wordsOf(error)}`, detail: '' }
  }
  if (health === null) return { target, problem: null, detail: 'takes connections' }
  const client = new Client(target, { connect })
  try {
    const signal = AbortSignal.timeout(headersTimeoutMs)
    const { statusCode, body } = await client.request({ method: 'GET', path: health.path, signal })
    body.on('error', () => {}).destroy()
    const detail = `answers ${statusCode} to GET ${health.path}`
    return { target, problem: statusCode >= 200 && statusCode < 300 ? null : detail, detail }
  } catch (error) {
    return { target, problem: `does not answer GET ${health.path}: ${wordsOf(error)}`, detail: '' }
  } finally {
    void client.destroy()
  }
}

function reach({ protocol, host, hostname, port }: URL, connect: buildConnector.connector): Promise<void> {
  return new Promise((resolve, reject) => {
    connect({ protocol, host, hostname: hostname.replace(/^\[|\]$/g, ''), port }, (error, socket) => {
      if (error !== null) return reject(error)
      socket.destroy()
      resolve()
    })
  })
}
