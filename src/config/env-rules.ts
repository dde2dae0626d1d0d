/** What variables demand of each other, and what production demands of all of them (R84). */
import type { Env } from './env.js'
import * as values from './env-values.js'
import type { VariableSource } from './variable-source.js'

export function checkEnv(env: Env, variables: VariableSource): void {
  if (env.production) checkProduction(env, variables)
  checkAttached(env, variables)
  checkFingerprint(env, variables)
  checkCookies(env, variables)
  checkMail(env, variables)
  if (env.port !== 0 && env.port === env.opsPort && env.host === env.opsHost) {
    variables.problem('OPS_PORT', 'must differ from PORT')
  }
  if (env.databaseUrl === null && variables.isSet('DATABASE_DIRECT_URL')) {
    variables.require('DATABASE_URL', 'DATABASE_DIRECT_URL is set')
  }
}

function checkProduction(env: Env, variables: VariableSource): void {
  const production = 'NODE_ENV is production'
  if (!variables.isSet('DB_HOST')) variables.require('DATABASE_URL', production)
  if (!variables.isSet('BETTER_AUTH_SECRETS')) variables.require('BETTER_AUTH_SECRET', production)
  variables.require('BETTER_AUTH_URL', production)
  const allowHttp = variables.read('ALLOW_HTTP', values.flag, false)
  if (!allowHttp && !variables.isBlamed('BETTER_AUTH_URL') && !isHttps(env)) {
    variables.problem('BETTER_AUTH_URL', 'must be https in production (or set ALLOW_HTTP=1)')
  }
  if (env.gatewayFile === null) {
    variables.problem('GATEWAY_CONFIG', 'is missing, and there is no gateway.yaml: production has no try-it mode')
  }
}

/** Somebody else signs the cookies and writes the rows: what we would make up could never fit. */
function checkAttached(env: Env, variables: VariableSource): void {
  if (env.authMode !== 'attached' || env.production) return
  if (!variables.isSet('DB_HOST')) variables.require('DATABASE_URL', 'AUTH_MODE is attached')
  if (!variables.isSet('BETTER_AUTH_SECRETS')) variables.require('BETTER_AUTH_SECRET', 'AUTH_MODE is attached')
}

/** An attached gateway may read the sessions and nothing else. */
function checkFingerprint(env: Env, variables: VariableSource): void {
  if (env.sessionFingerprint !== 'revoke' || env.authMode === 'hosted') return
  variables.problem('SESSION_FINGERPRINT', "may be 'revoke' only where AUTH_MODE is hosted; 'log' works everywhere")
}

function checkCookies(env: Env, variables: VariableSource): void {
  // draft-ietf-httpbis-rfc6265bis: browsers drop such a cookie, and nobody could sign in.
  if (env.cookieSameSite === 'none' && !isHttps(env)) {
    variables.problem('COOKIE_SAME_SITE', "may be 'none' only where BETTER_AUTH_URL is https")
  }
  if (env.cookieDomain === null || variables.isBlamed('BETTER_AUTH_URL')) return
  const domain = env.cookieDomain.replace(/^\./, '')
  const { hostname } = new URL(env.baseUrl)
  if (hostname !== domain && !hostname.endsWith(`.${domain}`)) {
    variables.problem(
      'COOKIE_DOMAIN',
      'must be the host of BETTER_AUTH_URL or a domain above it, or browsers drop the cookie'
    )
  }
}

function checkMail(env: Env, variables: VariableSource): void {
  if (env.mail.kind !== 'log') return variables.require('EMAIL_FROM', 'mail is sent')
  const noMail = !variables.isSet('RESEND_API_KEY') && !variables.isSet('SMTP_URL')
  if (env.production && env.authMode === 'hosted' && env.requireEmailVerification && noMail) {
    variables.problem(
      'RESEND_API_KEY',
      'is missing, and so is SMTP_URL: nobody could verify an e-mail address (or set REQUIRE_EMAIL_VERIFICATION=0)'
    )
  }
}

function isHttps({ baseUrl }: Env): boolean {
  return baseUrl.startsWith('https:')
}
