/** `doctor`: every target of every upstream, as a call would find it: a connection, TLS that is trusted, and its health path. */
import { connect, isIP } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { UpstreamConfig } from '../config/gateway-file.js'
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

async function ask(target: string, { connectTimeoutMs, headersTimeoutMs, health }: UpstreamConfig): Promise<Answer> {
  const url = new URL(target)
  try {
    await reach(url, connectTimeoutMs)
  } catch (error) {
    return { target, problem: `cannot be reached: ${wordsOf(error)}`, detail: '' }
  }
  if (health === null) return { target, problem: null, detail: 'takes connections' }
  try {
    const signal = AbortSignal.timeout(headersTimeoutMs)
    const response = await fetch(new URL(health.path, url), { signal, redirect: 'manual' })
    void response.body?.cancel()
    const detail = `answers ${response.status} to GET ${health.path}`
    return { target, problem: response.ok ? null : detail, detail }
  } catch (error) {
    return { target, problem: `does not answer GET ${health.path}: ${wordsOf(error)}`, detail: '' }
  }
}

function reach({ protocol, hostname, port }: URL, timeoutMs: number): Promise<void> {
  const host = hostname.replace(/^\[|\]$/g, '')
  return new Promise((resolve, reject) => {
    const done = () => {
      socket.destroy()
      resolve()
    }
    const socket =
      protocol === 'https:'
        ? connectTls({ host, port: Number(port || 443), ...(isIP(host) === 0 && { servername: host }) }, done)
        : connect({ host, port: Number(port || 80) }, done)
    socket.once('error', reject)
    const late = Object.assign(new Error(`no connection within ${timeoutMs} ms`), { code: 'TIMEOUT' })
    socket.setTimeout(timeoutMs, () => socket.destroy(late))
  })
}
