/** Programs npm does not install. Who has none of them runs the other scenarios, and is told what is left out. */
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'

/** Where Debian puts what only root has on its PATH. */
const FOLDERS = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']

/** Its whole path; null: not installed. */
export function findProgram(name: string): string | null {
  return FOLDERS.map(folder => join(folder, name)).find(isExecutable) ?? null
}

/** A scenario's `lacks`, where the Debian package has the program's name. */
export function lacksProgram(name: string): string | null {
  return findProgram(name) === null ? `${name} is not installed; on Debian or Ubuntu: apt-get install ${name}` : null
}

/** The first number with dots in it that the program says; `none` where it is not installed. */
export function versionOfProgram(name: string, option: string): string {
  const path = findProgram(name)
  if (path === null) return 'none'
  const { stdout, stderr } = spawnSync(path, [option], { encoding: 'utf8' })
  return /\d+(\.\d+)+/.exec(stdout + stderr)?.[0] ?? 'unknown'
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
