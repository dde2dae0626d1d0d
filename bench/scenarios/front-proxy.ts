/**
 * What nginx and Caddy have in common here: a prefix of their own, and the configuration docs/forward-auth.md shows.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../src/data/postgres-cluster.js'
import { failure, start } from '../processes.js'
import { findProgram } from '../programs.js'
import { untilAnswered } from '../ready.js'
import type { Stack } from '../stack.js'
import { type Gate, plainGate } from './scenario.js'

const PAGE = join(import.meta.dirname, '../../docs/forward-auth.md')

export interface FrontProxy {
  readonly program: 'nginx' | 'caddy'
  /** Made from its own folder and the port it shall listen on. */
  readonly configuration: (folder: string, port: number) => string | Promise<string>
  readonly args: (file: string, folder: string) => readonly string[]
}

export async function openFrontProxy(stack: Stack, name: string, proxy: FrontProxy): Promise<Gate> {
  const folder = join(stack.folder, name)
  await mkdir(folder)
  const port = await freePort()
  const file = join(folder, `${proxy.program}.conf`)
  await writeFile(file, await proxy.configuration(folder, port))
  const command = [...stack.placement.gatePrefix, findProgram(proxy.program) ?? '', ...proxy.args(file, folder)]
  const env = { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
  const { child, pid } = await start({ name, command, env })
  await Promise.race([untilAnswered(`http://127.0.0.1:${port}/`), failure(child)])
  return plainGate(port, pid)
}

/** A proxy that asks the door of a gateway: both work for the request, and both are charged. */
export function behind(door: Gate, front: Gate): Gate {
  return {
    ...door,
    origin: front.origin,
    pids: [...front.pids, ...door.pids]
  }
}

/** The configuration in that language: what is measured is what people copy. */
export async function documented(language: string): Promise<string> {
  const [, block] = new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, 'm').exec(await readFile(PAGE, 'utf8')) ?? []
  if (block === undefined) throw new Error(`docs/forward-auth.md has no ${language} block`)
  return block
}
