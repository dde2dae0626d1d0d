/** Many event streams at once: how many messages arrive, how late, and whether one is missing. */
import { Agent, get } from 'node:http'
import { cpuOfAll } from './cpu.mjs'

const WITHIN_MS = 10_000

process.on('message', async order => process.send(await subscribe(order)))
process.on('disconnect', () => process.exit())

/** @param order {{ url: string, cookies: string[], seconds: number, pids: number[] }} one stream for each cookie */
async function subscribe({ url, cookies, seconds, pids }) {
  const agent = new Agent({ maxSockets: Number.POSITIVE_INFINITY })
  const tally = { counting: false, messages: 0, lost: 0, latencies: [] }
  const streams = await Promise.all(cookies.map(cookie => open(url, cookie, agent, tally)))
  const [cpuBefore, before] = [cpuOfAll(pids), performance.now()]
  tally.counting = true
  await new Promise(resolve => setTimeout(resolve, seconds * 1_000))
  tally.counting = false
  const [cpuAfter, after] = [cpuOfAll(pids), performance.now()]
  const broken = streams.filter(({ response }) => response.closed || response.destroyed).length
  for (const { request } of streams) request.destroy()
  const sorted = Float64Array.from(tally.latencies).toSorted()
  return {
    messages: tally.messages,
    perSecond: tally.messages / ((after - before) / 1_000),
    lost: tally.lost,
    broken,
    p50: at(sorted, 0.5),
    p99: at(sorted, 0.99),
    cpuPerMessage: cpuBefore === null ? null : (cpuAfter - cpuBefore) / tally.messages
  }
}

/** Resolves with the first message. */
function open(url, cookie, agent, tally) {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent, headers: { cookie, accept: 'text/event-stream' } }, response => {
      if (response.statusCode !== 200) return reject(new Error(`a stream was answered ${response.statusCode}`))
      let rest = ''
      let last = null
      response.setEncoding('utf8').on('data', text => {
        const events = (rest + text).split('\n\n')
        rest = events.pop()
        for (const event of events) {
          const { sequence, sent } = JSON.parse(event.slice('data: '.length))
          if (last === null) resolve({ request, response })
          else note(tally, sequence - last - 1, sent)
          last = sequence
        }
      })
      // Ends when we end it, or is found out at the end as broken.
      response.once('error', () => undefined)
    }).once('error', reject)
    request.setTimeout(WITHIN_MS, () => request.destroy(new Error(`a stream is silent for ${WITHIN_MS} ms`)))
  })
}

function note(tally, missing, sent) {
  tally.lost += missing
  if (!tally.counting) return
  tally.messages++
  tally.latencies.push(now() - sent)
}

/** Milliseconds of the clock that all processes of a machine share. */
function now() {
  return Number(process.hrtime.bigint()) / 1e6
}

function at(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
