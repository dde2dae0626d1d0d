/** What somebody sees who has just started the gateway: where it is, and three lines to paste. */
import type { Env } from '../config/env.js'

export function welcome(env: Env, tryIt: boolean): string {
  const { baseUrl, host, port, opsHost, opsPort } = env
  const lines = [
    '',
    `session-gateway is up.`,
    `  public   ${baseUrl}${baseUrl.endsWith(`:${port}`) ? '' : ` (listening on ${host}:${port})`}`,
    `  private  http://${opsHost}:${opsPort}/readyz and /metrics`
  ]
  return [...lines, ...(tryIt ? tryItLines(env) : []), ''].join('\n')
}

function tryItLines({ baseUrl, requireEmailVerification }: Env): string[] {
  const person = `{"name":"Ada","email":"ada@example.com","password":"correct horse battery"}`
  return [
    '',
    'No gateway.yaml, so this is try-it mode: /api/* needs a session, /api/admin/* the role admin, /api/public/* nothing.',
    'In another terminal: sign up, call as that user, sign out.',
    '',
    `  curl -sS -c jar.txt ${baseUrl}/api/auth/sign-up/email -H 'content-type: application/json' -d '${person}'`,
    `  curl -sS -b jar.txt -c jar.txt ${baseUrl}/api/hello`,
    `  curl -sS -b jar.txt -X POST ${baseUrl}/api/auth/sign-out -H 'origin: ${baseUrl}'`,
    ...(requireEmailVerification
      ? ['', 'E-mail verification is on: open the link in the log before the second line.']
      : []),
    '',
    'Make somebody an admin: npx session-gateway role ada@example.com admin',
    'Your own routes: copy gateway.example.yaml to gateway.yaml. Stop with Ctrl-C.'
  ]
}
