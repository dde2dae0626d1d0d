/**
 * The load: autocannon in a process of its own, one order at a time over IPC.
 *
 * autocannon rounds latencies to whole milliseconds, but announces each one unrounded with its `response` event:
 * the percentiles are taken from those. Requests are counted, and processor time is read, between two instants of one
 * run, after the warm-up. Both last until every connection has been answered, a few times while it counts: in less, who
 * takes half a second for an answer would be measured by the moment it began. Errors are counted over the whole run. A connection the gate closes is reopened by
 * autocannon without a word; requests that were sent and never answered give it away.
 */
import autocannon from 'autocannon'
import { cpuOfAll } from './cpu.mjs'

/** Of the connections, while it counts. */
const ANSWERS_EACH = 4
const LONGER_AT_MOST_SECONDS = 4
const LOOK_EVERY_MS = 50

process.on('message', async order => process.send(await shoot(order)))
process.on('disconnect', () => process.exit())

/** @param order as `Order` of load.ts has it */
async function shoot({ url, connections, warmUpSeconds, seconds, cookies, watch, status = 200, post }) {
  const latencies = []
  let counting = false
  let client = 0
  let answers = 0
  const run = autocannon({
    url,
    connections,
    ...(post ? { method: 'POST', body: Buffer.alloc(post.bytes), headers: post.headers } : {}),
    duration: 3_600,
    sampleInt: 100,
    setupClient: each => each.setRequests(requestsOf(client++, connections, cookies, post?.headers))
  })
  run.on('response', (_client, _status, _bytes, milliseconds) => {
    answers++
    if (counting) latencies.push(milliseconds)
  })
  await pause(warmUpSeconds)
  await untilTrue(() => answers >= connections)
  const before = snapshot(watch)
  counting = true
  await pause(seconds)
  await untilTrue(() => latencies.length >= ANSWERS_EACH * connections)
  counting = false
  const after = snapshot(watch)
  run.stop()
  return summary(await run, connections, status, latencies, before, after)
}

/** Each connection goes through its own share of the sessions: no two ask for the same one at the same time. */
function requestsOf(client, connections, cookies, headers) {
  const own = cookies.filter((_, index) => index % connections === client)
  return own.map(cookie => ({ headers: { ...headers, cookie } }))
}

function summary(result, connections, status, latencies, before, after) {
  const sorted = Float64Array.from(latencies).toSorted()
  const unwanted = Object.fromEntries(
    Object.entries(result.statusCodeStats).flatMap(([code, { count }]) =>
      code === String(status) ? [] : [[code, count]]
    )
  )
  const elapsedUs = (after.at - before.at) * 1_000
  const cpu = Object.keys(before.cpu).map(name => {
    const used = after.cpu[name] - before.cpu[name]
    return [name, { usPerRequest: used / sorted.length, busy: used / elapsedUs }]
  })
  return {
    requests: sorted.length,
    rps: sorted.length / (elapsedUs / 1e6),
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    cpu: Object.fromEntries(cpu),
    statuses: unwanted,
    errors: {
      connection: result.errors - result.timeouts,
      timeout: result.timeouts,
      status: Object.values(unwanted).reduce((sum, count) => sum + count, 0),
      // What a refused or timed-out connection took with it is counted there already.
      dropped: Math.max(0, result.requests.sent - result.requests.total - connections - result.errors)
    }
  }
}

/** Microseconds. */
function percentile(sorted, share) {
  return Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 1_000)
}

function snapshot(watch) {
  const cpu = Object.entries(watch).flatMap(([name, pids]) => {
    const used = cpuOfAll(pids)
    return used === null ? [] : [[name, used]]
  })
  return { at: performance.now(), cpu: Object.fromEntries([...cpu, ['generator', ownMicroseconds()]]) }
}

function ownMicroseconds() {
  const { user, system } = process.cpuUsage()
  return user + system
}

function pause(seconds) {
  return new Promise(resolve => setTimeout(resolve, seconds * 1_000))
}

/** Or until it has taken too long. */
async function untilTrue(isTrue) {
  const deadline = performance.now() + LONGER_AT_MOST_SECONDS * 1_000
  while (!isTrue() && performance.now() < deadline) await pause(LOOK_EVERY_MS / 1_000)
}
