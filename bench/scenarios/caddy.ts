/** Caddy, asking the gateway's door about every request, with the configuration docs/forward-auth.md shows. */
import { lacksProgram } from '../programs.js'
import type { Stack } from '../stack.js'
import { behind, documented, openFrontProxy } from './front-proxy.js'
import { openGateway } from './open-gateway.js'
import type { Gate, Scenario } from './scenario.js'

export const caddyForwardAuth: Scenario = {
  name: 'caddy-forward-auth',
  what: "Caddy, forward_auth to session-gateway's own /.gateway/verify; processor time is that of both",
  path: '/cached/orders/7',
  guarded: true,
  source: 'local',
  onlyInFull: true,
  lacks: () => lacksProgram('caddy'),
  open: openForwardAuth
}

async function openForwardAuth(stack: Stack): Promise<Gate> {
  const door = await openGateway(stack, 'caddy_door', { TRUSTED_PROXIES: '127.0.0.1' })
  const site = (await documented('caddyfile'))
    .replaceAll('127.0.0.1:8080', new URL(door.origin).host)
    .replaceAll('127.0.0.1:8000', new URL(stack.upstream.url).host)
  const front = await openFrontProxy(stack, 'caddy-forward-auth', {
    program: 'caddy',
    args: file => ['run', '--config', file, '--adapter', 'caddyfile'],
    configuration: (_folder, port) =>
      `{\n\tadmin off\n\tauto_https off\n}\n${site.replace(':80 {', `http://:${port} {\n\tbind 127.0.0.1`)}`
  })
  return behind(door, front)
}
