import t from 'tap'
import { durationMs, sizeBytes } from '../../../src/config/quantities.js'

t.test('durations are a whole number and a unit', async t => {
  const cases = { '500ms': 500, '2s': 2000, '10m': 600_000, '1h': 3_600_000, '7d': 604_800_000 }
  for (const [text, expected] of Object.entries(cases)) t.equal(durationMs(text), expected, text)
})

t.test('sizes count in powers of 1024', async t => {
  const cases = { '1b': 1, '1kb': 1024, '10mb': 10_485_760, '2gb': 2_147_483_648 }
  for (const [text, expected] of Object.entries(cases)) t.equal(sizeBytes(text), expected, text)
})

t.test('anything else is null, and so is zero', async t => {
  for (const text of ['', '5', 's', '1.5s', '-1s', ' 1s', '1 s', '1S', '1w', '0s', '1e3s', '5s5s'])
    t.equal(durationMs(text), null, text)
  for (const text of ['', '5', 'mb', '1.5mb', '-1mb', '10MB', '0b', '1tb']) t.equal(sizeBytes(text), null, text)
})

t.test('a duration never exceeds what a timer can wait', async t => {
  t.equal(durationMs('2147483647ms'), 2_147_483_647)
  t.equal(durationMs('2147483648ms'), null)
  t.equal(durationMs('24d'), 2_073_600_000)
  t.equal(durationMs('25d'), null)
})
