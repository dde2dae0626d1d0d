import t from 'tap'
import { serverFindings } from '../../../src/data/auth-findings.js'

const server = { version: 180_004, versionText: '18.4', inRecovery: false, role: 'gateway', tables: 0 }

t.test('a primary of PostgreSQL 14 or newer is good', async t => {
  t.same(serverFindings(server), [])
  t.same(serverFindings({ ...server, version: 140_000, versionText: '14.0' }), [])
})

t.test('an older server is refused', async t => {
  const [finding, ...others] = serverFindings({ ...server, version: 130_022, versionText: '13.22' })

  t.match(finding, { severity: 'problem', message: /13\.22 is too old, 14/, additive: false })
  t.same(others, [])
})

t.test('a replica is refused: a session that ended on the primary would go on there (I08)', async t => {
  t.match(serverFindings({ ...server, inRecovery: true }), [{ severity: 'problem', message: /replica/ }])
})
