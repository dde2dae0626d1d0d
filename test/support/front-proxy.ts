/**
 * A real nginx or Caddy in front of the gateway, with the configuration that docs/forward-auth.md shows: what is
 * tested is what people copy. Gone with the test. A machine without them fails here with the way to get them.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort } from '../../src/data/postgres-cluster.js'
import { eventually } from './eventually.js'
import { ROOT } from './root.js'
import { emptyFolder } from './scratch.js'

export interface FrontProxy {
  readonly port: number
}

export interface Places {
  readonly gatewayPort: number
  readonly servicePort: number
}

type Scope = { teardown: (fn: () => unknown) => unknown }

const PAGE = join(ROOT, 'docs/forward-auth.md')
/** Where Debian puts what only root has on its PATH. */
const PATH = `${process.env.PATH ?? ''}:/usr/sbin`

export async function startNginx(scope: Scope, places: Places): Promise<FrontProxy> {
  const port = await freePort()
  const dir = await emptyFolder(scope)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  const server = fill(await configuration('nginx'), places).replace('listen 80;', `listen 127.0.0.1:${port};`)
  await writeFile(
    join(dir, 'nginx.conf'),
    `daemon off; master_process off; pid ${dir}/pid; error_log stderr;
events {}
http {
  access_log off;
  ${temporary.map(name => `${name}_temp_path ${dir}/${name};`).join(' ')}
${server}}
`
  )
  await launch(scope, 'nginx', ['-p', dir, '-c', join(dir, 'nginx.conf'), '-e', 'stderr'], dir, port)
  return { port }
}

export async function startCaddy(scope: Scope, places: Places): Promise<FrontProxy> {
  const port = await freePort()
  const dir = await emptyFolder(scope)
  const site = fill(await configuration('caddyfile'), places).replace(':80 {', `http://:${port} {\n\tbind 127.0.0.1`)
  await writeFile(join(dir, 'Caddyfile'), `{\n\tadmin off\n\tauto_https off\n}\n${site}`)
  await launch(scope, 'caddy', ['run', '--config', 'Caddyfile', '--adapter', 'caddyfile'], dir, port)
  return { port }
}

/** The block of that language on the page. */
async function configuration(language: string): Promise<string> {
  const page = await readFile(PAGE, 'utf8')
  const [, block] = new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, 'm').exec(page) ?? []
  if (block === undefined) throw new Error(`docs/forward-auth.md has no ${language} block`)
  return block
}

function fill(block: string, { gatewayPort, servicePort }: Places): string {
  return block.replaceAll('127.0.0.1:8080', `127.0.0.1:${gatewayPort}`).replaceAll(':8000', `:${servicePort}`)
}

async function launch(scope: Scope, program: string, args: string[], dir: string, port: number): Promise<void> {
  const env = { PATH, HOME: dir, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir }
  const child = spawn(program, args, { cwd: dir, env, stdio: ['ignore', 'ignore', 'pipe'] })
  let words = ''
  child.stderr.on('data', text => (words += String(text)))
  const spawned = await once(child, 'spawn').then(
    () => true,
    () => false
  )
  if (!spawned) throw new Error(`There is no ${program}. Install it, on Debian or Ubuntu: apt-get install ${program}.`)
  scope.teardown(() => end(child))
  const onExit = () => child.kill('SIGKILL')
  process.once('exit', onExit)
  child.once('exit', () => process.off('exit', onExit))
  await eventually(async () => {
    if (child.exitCode !== null) throw new Error(`${program} did not start: ${words}`)
    return accepts(port)
  }, `${program} answers`)
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  await gone
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
