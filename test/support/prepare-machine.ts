/**
 * Before the suite: what it needs beyond npm: a Redis, a pooler, the proxies of docs/forward-auth.md, and FastAPI for
 * one of the examples. As root on Debian or Ubuntu it installs them and says so; anywhere else it says how, and the
 * tests that need them fail.
 */
import { spawnSync } from 'node:child_process'

const NEEDS = [
  {
    packages: ['redis-server'],
    isThere: () => succeeds('redis-server', '--version') || succeeds('valkey-server', '--version')
  },
  { packages: ['nginx'], isThere: () => succeeds('nginx', '-v') || succeeds('/usr/sbin/nginx', '-v') },
  { packages: ['caddy'], isThere: () => succeeds('caddy', 'version') },
  { packages: ['pgbouncer'], isThere: () => succeeds('pgbouncer', '--version') },
  {
    packages: ['python3-fastapi', 'python3-uvicorn', 'python3-jwt', 'python3-cryptography'],
    isThere: () =>
      ['/usr/bin/python3', 'python3'].some(python =>
        succeeds(python, '-c', 'import fastapi, uvicorn, jwt, cryptography')
      )
  }
]

const missing = NEEDS.filter(({ isThere }) => !isThere()).flatMap(({ packages }) => packages)
if (missing.length > 0) {
  const install = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...missing]
  if (process.getuid?.() === 0 && succeeds('apt-get', '--version')) {
    console.log(`The tests need ${missing.join(', ')}: installing them with apt-get.`)
    run('apt-get', 'update', '-qq')
    run(...(install as [string, ...string[]]))
  } else {
    console.log(
      `The tests need ${missing.join(', ')}. Install them first, on Debian or Ubuntu: sudo ${install.join(' ')}`
    )
  }
}

function succeeds(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

function run(command: string, ...args: string[]): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'], env })
}
