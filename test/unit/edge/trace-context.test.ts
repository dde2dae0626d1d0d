import t from 'tap'
import { newParentId, readTraceparent, traceIdOf } from '../../../src/edge/trace-context.js'

const TRACE = '0af7651916cd43dd8448eb211c80319c'

t.test('a valid traceparent keeps its trace id and flags (B23)', async t => {
  t.strictSame(readTraceparent(`00-${TRACE}-b7ad6b7169203331-01`), { traceId: TRACE, flags: '01' })
})

t.test('a traceparent that breaks the recommendation is no traceparent (B23)', async t => {
  const broken = [
    undefined,
    '',
    `ff-${TRACE}-b7ad6b7169203331-01`,
    `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-b7ad6b7169203331-01`,
    `00-${TRACE}-b7ad6b7169203331-01, 00-${TRACE}-b7ad6b7169203331-01`,
    `00-${TRACE}-b7ad6b7169203331`
  ]
  for (const header of broken) t.equal(readTraceparent(header), null, String(header))
})

t.test('parent ids are sixteen hex digits and do not repeat', async t => {
  const ids = Array.from({ length: 2000 }, newParentId)

  t.ok(ids.every(id => /^[0-9a-f]{16}$/.test(id)))
  t.equal(new Set(ids).size, ids.length)
})

t.test('a request id reads as a trace id', async t => {
  t.equal(traceIdOf('0af76519-16cd-43dd-8448-eb211c80319c', false), TRACE)
  t.match(traceIdOf('an-id-of-a-proxy', true), /^[0-9a-f]{32}$/)
})
