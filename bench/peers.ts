/** The peers live in a package of their own and are installed on first use: the product's own tree stays lean. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = import.meta.dirname
const stamp = join(folder, 'node_modules/.installed-from')

/** `npm ci` in `bench/`, skipped while the lockfile is the one that was installed. */
export function installPeers(): void {
  const lock = createHash('sha256')
    .update(readFileSync(join(folder, 'package-lock.json')))
    .digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  console.log('installing the peers (once) …')
  runNpm(['ci', '--no-audit', '--no-fund', '--loglevel=error'], folder)
  writeFileSync(stamp, lock)
}

export function buildGateway(root: string): void {
  runNpm(['run', '--silent', 'build'], root)
}

/** Versions for the report, as installed. */
export function versionOf(name: string): string {
  const manifest = readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}

function runNpm(args: readonly string[], cwd: string): void {
  const { status } = spawnSync('npm', args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) throw new Error(`npm ${args.join(' ')} failed`)
}
