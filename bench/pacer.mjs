/**
 * Requests at a fixed pace, whatever becomes of those before: what people feel while the gate has other work. Latency
 * counts from the moment a request was due (no coordinated omission). autocannon's own rate comes in bursts of a
 * second.
 */
import { Agent, get } from 'node:http'

const agent = new Agent({ keepAlive: true, maxSockets: 64, scheduling: 'fifo' })

process.on('message', async order => process.send(await pace(order)))
process.on('disconnect', () => process.exit())

/** @param order {{ url: string, cookies: string[], perSecond: number, seconds: number }} */
async function pace({ url, cookies, perSecond, seconds }) {
  const total = Math.round(perSecond * seconds)
  const begin = performance.now()
  const pending = []
  for (let sent = 0; sent < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - begin) / 1_000) * perSecond))
    for (; sent < due; sent++) {
      pending.push(ask(url, cookies[sent % cookies.length], begin + (sent / perSecond) * 1_000))
    }
    await new Promise(resolve => setTimeout(resolve, 1))
  }
  const answers = await Promise.all(pending)
  const latencies = Float64Array.from(answers.filter(each => each !== null)).toSorted()
  return {
    requests: total,
    failed: total - latencies.length,
    p50: at(latencies, 0.5),
    p99: at(latencies, 0.99)
  }
}

/** Milliseconds since it was due; null: not answered with 200. */
function ask(url, cookie, due) {
  return new Promise(resolve => {
    get(url, { agent, headers: { cookie } }, response => {
      response.resume().once('end', () => resolve(response.statusCode === 200 ? performance.now() - due : null))
    }).once('error', () => resolve(null))
  })
}

function at(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
