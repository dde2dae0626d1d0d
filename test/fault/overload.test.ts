/** More than this process can do: it says so before it goes under, and is back within seconds (H4, K19, K20). */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type OverloadCause, isShort, OverloadGuard, type OverloadOptions } from '../../src/edge/overload.js'
import { eventually } from '../support/eventually.js'
import { get, signUp, startGateway } from '../support/gateway.js'

const MB = 1024 * 1024
const PLENTY = Number.MAX_SAFE_INTEGER

function block(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

function guard(limits: Partial<OverloadOptions>) {
  const seen: (OverloadCause | null)[] = []
  const refused: OverloadCause[] = []
  const guard = new OverloadGuard({
    memoryLimit: null,
    heapLimit: PLENTY,
    ...limits,
    onChange: cause => seen.push(cause),
    onRefused: cause => refused.push(cause)
  })
  return { guard, seen, refused }
}

t.test('a blocked event loop: 503 with Retry-After, signs of life go on, and then all is as before', async t => {
  const gateway = await startGateway(t, { redis: false })
  const { cookie } = await signUp(gateway)
  const status = async (path: string) => (await get(gateway, path, { cookie })).status
  const told = () => gateway.log.findLast(({ event }) => event === 'overload')
  for (let i = 0; i < 10 && told() === undefined; i++) {
    block(900)
    await turn()
  }

  const refused = await get(gateway, '/public/x')

  t.equal(refused.status, 503)
  t.match(await refused.json(), { code: 'AUTH_SERVICE_UNAVAILABLE' })
  t.match(refused.headers.get('retry-after'), /^[1-5]$/)
  t.strictSame(await Promise.all(['/livez', '/readyz'].map(status)), [200, 200])
  t.match(told(), { level: 40, cause: 'event_loop' })
  const line = () => gateway.log.find(({ path }) => path === '/public/x')
  await eventually(() => line() !== undefined, 'the refusal is logged')
  t.match(line(), { status: 503, granted: false, reason: 'overloaded_event_loop' })
  await eventually(async () => (await status('/api/a/x')) === 200, 'it recovers', 5_000)
  t.match(told(), { cause: null })
  const metrics = await (await fetch(`http://127.0.0.1:${gateway.opsPort}/metrics`)).text()
  t.match(metrics, /session_gateway_overloaded_total\{cause="event_loop"\} [1-9]/)
})

t.test('turns that are slow now and then are no overload (K20)', async t => {
  const { guard: one, seen } = guard({})
  t.teardown(() => one.stop())
  for (let i = 0; i < 6; i++) {
    block(200)
    await sleep(200)
  }
  block(1_500)
  await sleep(700)

  t.strictSame(seen, [])
  t.doesNotThrow(() => one.admit())
})

t.test('memory that is in use up to the limit refuses, and given back it does not', async t => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  let ballast: Buffer | null = Buffer.alloc(400 * MB, 1)
  const { guard: one, seen, refused } = guard({ memoryLimit: process.memoryUsage.rss() * 1.02 })
  t.teardown(() => one.stop())

  await eventually(() => seen[0] === 'memory', 'it notices')
  t.throws(() => one.admit(), { code: 'AUTH_SERVICE_UNAVAILABLE', reason: 'overloaded_memory' })
  t.strictSame(refused, ['memory'])

  ballast.fill(2)
  ballast = null
  collect()
  await eventually(() => seen[1] === null, 'it recovers')
  t.doesNotThrow(() => one.admit())
})

t.test('memory that was in use and is only kept by malloc is no reason to refuse for ever', async t => {
  const limits = { heapLimit: 4096 * MB, memoryLimit: 1000 * MB }
  for (const [rss, heapUsed, external, short] of [
    [850, 500, 300, false],
    [950, 500, 300, true],
    [950, 200, 150, false],
    [990, 80, 10, false]
  ] as const) {
    t.equal(isShort({ rss: rss * MB, heapUsed: heapUsed * MB, external: external * MB }, limits), short, `${rss}`)
  }
  t.notOk(isShort({ rss: 64_000 * MB, heapUsed: 500 * MB, external: 60_000 * MB }, { ...limits, memoryLimit: null }))
})

t.test("V8's own limit counts where it is the lower one", async t => {
  const { guard: one, seen } = guard({ heapLimit: process.memoryUsage().heapUsed * 1.05 })
  t.teardown(() => one.stop())

  await eventually(() => seen[0] === 'memory', 'it notices')
})
