/** A real PgBouncer in transaction mode in front of a test's PostgreSQL, gone with the test. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort } from '../../src/data/postgres-cluster.js'
import { eventually } from './eventually.js'
import { emptyFolder } from './scratch.js'

type Scope = { teardown: (fn: () => unknown) => unknown }

const MISSING =
  'No pgbouncer on PATH. Install it: apt-get install pgbouncer, brew install pgbouncer, or apk add pgbouncer.'

/** The same address by way of the pooler, which says that it is one. */
export async function startPooler(scope: Scope, url: string): Promise<string> {
  const behind = new URL(url)
  const port = await freePort()
  const folder = await emptyFolder(scope)
  await chmod(folder, 0o755)
  const config = join(folder, 'pgbouncer.ini')
  const users = join(folder, 'users.txt')
  await writeFile(users, `"${behind.username}" "${decodeURIComponent(behind.password)}"\n`)
  await writeFile(
    config,
    `[databases]
* = host=127.0.0.1 port=${behind.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = plain
auth_file = ${users}
pool_mode = transaction
`
  )
  await Promise.all([config, users].map(file => chmod(file, 0o644)))
  // It refuses to run as root.
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const child = spawn('pgbouncer', [...asNobody, config], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', chunk => (said += chunk))
  const failed = new Promise<never>((_resolve, reject) => {
    child.once('error', () => reject(new Error(MISSING)))
    child.once('exit', code => reject(new Error(`pgbouncer ended with ${code}: ${said}`)))
  })
  failed.catch(() => {})
  scope.teardown(async () => {
    if (child.exitCode === null) {
      child.kill('SIGINT')
      await once(child, 'exit')
    }
  })
  await Promise.race([failed, eventually(() => answers(port), 'the pooler answers')])
  behind.port = String(port)
  behind.searchParams.set('pgbouncer', 'true')
  return behind.href
}

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
