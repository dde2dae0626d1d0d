/** Starts the upstreams of `examples/` as their READMEs say, each on a free loopback port. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { access, cp, mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { ROOT } from './root.js'

const run = promisify(execFile)
const START_DEADLINE_MS = 30_000

export type Example = 'fastapi' | 'express'

export interface RunningExample {
  /** `http://127.0.0.1:port`. */
  readonly url: string
}

/** Resolves when the example listens; rejects with what it printed when it ends before that. */
export async function startExample(
  t: Test,
  name: Example,
  env: Readonly<Record<string, string>>
): Promise<RunningExample> {
  const [command, ...args] = await commandOf(name)
  // Of our own environment only what finding programs needs: a key set around the tests must not leak in.
  const child = spawn(command, args, {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  t.teardown(() => stop(child))
  return { url: await addressOf(child, name) }
}

async function commandOf(name: Example): Promise<[string, ...string[]]> {
  if (name === 'express') return [process.execPath, join(await installedExpress(), 'server.js')]
  const dir = join(ROOT, 'examples/fastapi')
  return [await pythonWithFastapi(), '-B', '-m', 'uvicorn', '--app-dir', dir, '--port', '0', 'main:app']
}

/** Debian's own Python first: another `python3` on PATH does not see the packages of apt. */
async function pythonWithFastapi(): Promise<string> {
  for (const python of ['/usr/bin/python3', 'python3']) {
    const found = await run(python, ['-c', 'import fastapi, uvicorn, jwt, cryptography']).then(
      () => true,
      () => false
    )
    if (found) return python
  }
  throw new Error(
    'The FastAPI example needs fastapi, uvicorn, PyJWT and cryptography. Debian and Ubuntu, as root: ' +
      'apt-get install -y --no-install-recommends python3-fastapi python3-uvicorn python3-jwt python3-cryptography. ' +
      'Elsewhere: python3 -m pip install -r examples/fastapi/requirements.txt'
  )
}

/**
 * A copy of the Express example with its packages installed, kept for the next run under a name made of its content.
 * The root package has no Express: a gateway does not need it.
 */
async function installedExpress(): Promise<string> {
  const from = join(ROOT, 'examples/express')
  const files = ['package.json', 'package-lock.json', 'server.js']
  const hash = createHash('sha256')
  for (const file of files) hash.update(await readFile(join(from, file)))
  const cache = join(ROOT, 'node_modules/.cache/session-gateway')
  const target = join(cache, `express-${hash.digest('hex').slice(0, 16)}`)
  if (await exists(target)) return target

  const fresh = `${target}.${process.pid}`
  await mkdir(fresh, { recursive: true })
  for (const file of files) await cp(join(from, file), join(fresh, file))
  await run('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts'], { cwd: fresh })
  await rename(fresh, target).catch(async () => {
    // Another run was faster.
    await rm(fresh, { recursive: true, force: true })
  })
  return target
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false
  )
}

/** Both servers print one line `… running on http://host:port …`; uvicorn to stderr, Express to stdout. */
function addressOf(child: ChildProcess, name: Example): Promise<string> {
  return new Promise((resolve, reject) => {
    const printed: string[] = []
    const fail = (what: string): void => reject(new Error(`the ${name} example ${what}:\n${printed.join('\n')}`))
    const deadline = setTimeout(() => fail('did not listen in time'), START_DEADLINE_MS)
    child.once('error', reject)
    // 'close', not 'exit': by then everything it printed has been read.
    child.once('close', code => {
      clearTimeout(deadline)
      fail(`ended with ${code}`)
    })
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue
      createInterface(stream).on('line', line => {
        printed.push(line)
        const address = / running on (http:\/\/[\d.]+:\d+)/.exec(line)?.[1]
        if (address === undefined) return
        clearTimeout(deadline)
        resolve(address)
      })
    }
  })
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}
