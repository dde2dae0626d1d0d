#!/usr/bin/env node
/**
 * `session-gateway <command>`. A command is a module with `run` and `help`, loaded only when it is asked for.
 * Exit codes: 0 fine, 1 failed, 78 configuration error (sysexits EX_CONFIG).
 */
import { readFile } from 'node:fs/promises'
import { ConfigError } from '../errors.js'
import { printProblems } from './problems.js'

export interface Command {
  /** What `--help` prints. */
  readonly help: string
  /** The exit code. */
  run: (args: string[]) => Promise<number>
}

const COMMANDS: Readonly<Record<string, { readonly summary: string; readonly load: () => Promise<Command> }>> = {
  start: { summary: 'serve', load: () => import('./start.js') },
  migrate: { summary: 'apply migrations and triggers to the database', load: () => import('./migrate.js') },
  check: { summary: 'load the configuration, print every problem, run its tests', load: () => import('./check.js') },
  explain: { summary: 'say which route decides about a request, and why', load: () => import('./explain.js') },
  doctor: { summary: 'look at the live database, Redis and upstreams', load: () => import('./doctor.js') },
  role: { summary: "set a user's role", load: () => import('./role.js') },
  token: { summary: 'print a bearer token of a user, for scripts and tests', load: () => import('./token.js') }
}

const HELP = `Usage: session-gateway <command> [options]

${Object.entries(COMMANDS)
  .map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`)
  .join('\n')}

session-gateway <command> --help says more; --version says which one this is.`

async function main([name = '--help', ...args]: string[]): Promise<number> {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined) {
    if (name === '--help' || name === '-h' || name === 'help') {
      console.log(HELP)
      return 0
    }
    if (name === '--version' || name === '-v') {
      console.log(await ownVersion())
      return 0
    }
    console.error(`There is no command '${name}'.\n\n${HELP}`)
    return 1
  }
  const { run, help } = await command.load()
  if (args.includes('--help') || args.includes('-h')) {
    console.log(help)
    return 0
  }
  try {
    return await run(args)
  } catch (error) {
    if (error instanceof ConfigError) return printProblems(error)
    console.error(
      `${error instanceof Error ? error.message : String(error)}\nsession-gateway ${name} --help says more.`
    )
    return 1
  }
}

/** The nearest package.json upwards: this file is run from src/ and from dist/src/. */
async function ownVersion(): Promise<string> {
  for (const above of ['../../package.json', '../../../package.json']) {
    const text = await readFile(new URL(above, import.meta.url), 'utf8').catch(() => null)
    if (text !== null) return (JSON.parse(text) as { version: string }).version
  }
  return 'unknown'
}

process.exitCode = await main(process.argv.slice(2))
