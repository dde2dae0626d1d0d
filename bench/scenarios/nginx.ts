/** nginx, one process: as a proxy that checks nothing, and as one that asks the gateway's door about every request. */
import { lacksProgram } from '../programs.js'
import type { Stack } from '../stack.js'
import { behind, documented, type FrontProxy, openFrontProxy } from './front-proxy.js'
import { openGateway } from './open-gateway.js'
import type { Gate, Scenario } from './scenario.js'

export const nginx: Scenario = {
  name: 'nginx',
  what: 'nginx, one worker, checks nothing: the fastest a proxy gets',
  path: '/orders/7',
  guarded: false,
  source: null,
  lacks: () => lacksProgram('nginx'),
  open: stack => openFrontProxy(stack, 'nginx', configured(stack, PLAIN, stack.upstream.url))
}

export const nginxAuthRequest: Scenario = {
  name: 'nginx-auth-request',
  what: "nginx, auth_request to session-gateway's own /.gateway/verify; processor time is that of both",
  path: '/cached/orders/7',
  guarded: true,
  source: 'local',
  onlyInFull: true,
  lacks: () => lacksProgram('nginx'),
  open: openAuthRequest
}

const PLAIN = `server {
  listen 80;
  location / { proxy_pass http://127.0.0.1:8000; }
}
`

async function openAuthRequest(stack: Stack): Promise<Gate> {
  const door = await openGateway(stack, 'nginx_door', { TRUSTED_PROXIES: '127.0.0.1' })
  const proxy = configured(stack, await documented('nginx'), door.origin)
  return behind(door, await openFrontProxy(stack, 'nginx-auth-request', proxy))
}

/**
 * Connections to both are kept, which nginx does not do by itself. `keepalive_requests` ends one after a thousand
 * requests by default, and the generator would take that for an error.
 */
function configured(stack: Stack, server: string, door: string): FrontProxy {
  const kept = 'keepalive 128; keepalive_requests 1000000000;'
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return {
    program: 'nginx',
    args: (file, folder) => ['-p', folder, '-c', file, '-e', 'stderr'],
    configuration: (folder, port) => `daemon off; master_process off; pid ${folder}/pid; error_log stderr;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  proxy_http_version 1.1;
  ${temporary.map(name => `${name}_temp_path ${folder}/${name};`).join(' ')}
  upstream service { server ${new URL(stack.upstream.url).host}; ${kept} }
  upstream door { server ${new URL(door).host}; ${kept} }
${server
  .replace('listen 80;', `listen 127.0.0.1:${port};`)
  .replaceAll(/proxy_pass http:\/\/127\.0\.0\.1:8000;/g, 'proxy_set_header Connection ""; proxy_pass http://service;')
  .replaceAll(/proxy_pass http:\/\/127\.0\.0\.1:8080;/g, 'proxy_set_header Connection ""; proxy_pass http://door;')}}
`
  }
}
