/**
 * What `npm run build` makes, for the processes that tests start: they are up in half the time tsx takes. Built when a
 * test first asks, once for the sources as they are, and found there by every other test.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ROOT } from './root.js'

const BUILDS = join(ROOT, 'node_modules/.cache/session-gateway-tests')
const A_DAY_MS = 24 * 3_600_000

/** The folder of the built `src`. */
export const built: Promise<string> = build()

/** A command of the built program, for `process.execPath`. */
export async function builtCommand(...args: readonly string[]): Promise<string[]> {
  return [join(await built, 'cli/main.js'), ...args]
}

async function build(): Promise<string> {
  const target = join(BUILDS, await fingerprint())
  const src = join(target, 'dist/src')
  if (await exists(src)) return src
  await mkdir(BUILDS, { recursive: true })
  await clearOld()
  const fresh = await mkdtemp(join(BUILDS, 'new-'))
  await promisify(execFile)('npm', ['run', '--silent', 'build', '--', `--outdir=${join(fresh, 'dist')}`], { cwd: ROOT })
  await cp(join(ROOT, 'package.json'), join(fresh, 'package.json'))
  // Another test process may have been faster.
  await rename(fresh, target).catch(() => rm(fresh, { recursive: true, force: true }))
  return src
}

/** Of all that goes into a build. */
async function fingerprint(): Promise<string> {
  const hash = createHash('sha256')
  for (const folder of ['src', 'schema']) {
    const names = await readdir(join(ROOT, folder), { recursive: true })
    for (const name of names.toSorted()) {
      const { mtimeMs, size } = await stat(join(ROOT, folder, name))
      hash.update(`${folder}/${name} ${mtimeMs} ${size}\n`)
    }
  }
  const { mtimeMs } = await stat(join(ROOT, 'package.json'))
  return hash.update(String(mtimeMs)).digest('hex').slice(0, 16)
}

async function clearOld(): Promise<void> {
  for (const name of await readdir(BUILDS)) {
    const path = join(BUILDS, name)
    const { mtimeMs } = await stat(path)
    if (Date.now() - mtimeMs > A_DAY_MS) await rm(path, { recursive: true, force: true })
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false
  )
}
