/** Two processes on one port without Redis: each has a memory of its own, and neither outlives a revocation. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { migratedPostgres, PASSWORD, ROUTES, SECRET } from '../support/gateway.js'
import { isUp, spawnGateway } from '../support/process.js'
import { emptyFolder } from '../support/scratch.js'
import { startUpstream } from '../support/upstream.js'

t.test('WORKERS=2 without Redis: after a sign-out no process lets the session in (G1)', async t => {
  const upstream = await startUpstream(t)
  const database = await migratedPostgres(t)
  const folder = await emptyFolder(t)
  await writeFile(join(folder, 'gateway.yaml'), ROUTES.replaceAll('$UPSTREAM', upstream.origin))
  const gateway = await spawnGateway(t, folder, {
    DATABASE_URL: database.url,
    BETTER_AUTH_SECRET: SECRET,
    WORKERS: '2',
    LOGIN_RATE_LIMIT_IP: '1000/60s'
  })
  await isUp(gateway)
  const post = (path: string, body: object, cookie = '') =>
    fetch(`${gateway.origin}/api/auth${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', origin: gateway.origin, cookie, connection: 'close' }
    })
  // Connections are handed out in turn, so that both processes come to know the session.
  const statuses = async (count: number, cookie: string) => {
    const answers = Array.from({ length: count }, async () => {
      const answer = await fetch(`${gateway.origin}/api/a/x`, { headers: { cookie, connection: 'close' } })
      await answer.arrayBuffer()
      return answer.status
    })
    return [...new Set(await Promise.all(answers))]
  }

  for (let round = 0; round < 5; round++) {
    const account = { name: 'Ada', email: `ada${round}@example.com`, password: PASSWORD }
    const [cookie = ''] = (await post('/sign-up/email', account)).headers.getSetCookie()[0]?.split(';') ?? []
    t.strictSame(await statuses(20, cookie), [200])
    t.equal((await post('/sign-out', {}, cookie)).status, 200)
    t.strictSame(await statuses(40, cookie), [401])
  }
  const metrics = await (await fetch(`http://127.0.0.1:${gateway.opsPort}/metrics`)).text()
  t.match(metrics, /session_lookups_total\{source="local",outcome="live"\} [1-9]/)
})
