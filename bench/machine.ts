/** Where and with what the figures were made. */
import { execFileSync } from 'node:child_process'
import { cpus, loadavg, release, totalmem, type } from 'node:os'
import { versionOf } from './peers.js'
import { versionOfProgram } from './programs.js'
import type { Stack } from './stack.js'

const PEERS = ['fastify', '@fastify/http-proxy', 'better-auth', 'autocannon']

export function describeMachine(stack: Stack, command: string, loadBefore: number): Record<string, unknown> {
  return {
    date: new Date().toISOString(),
    command,
    commit: commit(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    'load before': loadBefore.toFixed(2),
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    os: `${type()} ${release()}`,
    placement: stack.placement.description,
    log: 'session-gateway writes its log to a file; the peers write none',
    load: '64 connections, keep-alive, no pipelining, 1,000 signed sessions in rotation, 200 bytes of JSON',
    versions: {
      node: process.versions.node,
      postgres: stack.versions.postgres,
      redis: stack.versions.redis,
      nginx: versionOfProgram('nginx', '-v'),
      caddy: versionOfProgram('caddy', 'version'),
      ...Object.fromEntries(PEERS.map(name => [name, versionOf(name)]))
    }
  }
}

/** The machine's load before we add ours: what else is running spoils the figures. */
export function loadOfOthers(): number {
  return loadavg()[0] ?? 0
}

function commit(): string {
  try {
    const changed = git(['status', '--porcelain', '--untracked-files=no', '../src']) !== ''
    return git(['rev-parse', '--short', 'HEAD']) + (changed ? ' with changes' : '')
  } catch {
    return 'unknown'
  }
}

function git(args: readonly string[]): string {
  return execFileSync('git', args, {
    encoding: 'utf8',
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'ignore']
  }).trim()
}
