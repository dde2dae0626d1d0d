/** The parts of the environment that are made of several variables, most of them secret. */
import type { AuthSecret, Env, MailTransport } from './env.js'
import * as values from './env-values.js'
import type { VariableSource } from './variable-source.js'
import type { VariableName } from './variables.js'

const MIN_SECRET_LENGTH = 32
/** Better Auth's own stand-in; anybody can sign a cookie with it. */
const WELL_KNOWN_SECRET = 'better-auth-secret-12345678901234567890'

/** `DATABASE_URL`, or one made of `DB_HOST` and its kin; null when neither is given. */
export function databaseUrlOf(variables: VariableSource): string | null {
  const url = variables.read('DATABASE_URL', values.postgresUrl, null)
  const host = variables.read('DB_HOST', values.hostName, null)
  const port = variables.read('DB_PORT', values.integer(1, 65535), 5432)
  const [name, user, password] = (['DB_NAME', 'DB_USER', 'DB_PASSWORD'] as const).map(part => variables.text(part))
  if (host === null) {
    if (name ?? user ?? password) variables.problem('DB_HOST', 'is missing: DB_NAME, DB_USER or DB_PASSWORD is set')
    return url
  }
  if (variables.isSet('DATABASE_URL')) variables.problem('DB_HOST', 'is set, and so is DATABASE_URL: keep one of them')
  variables.require('DB_NAME', 'DB_HOST is set')
  variables.require('DB_USER', 'DB_HOST is set')
  const login = [user ?? '', ...(password == null ? [] : [password])].map(encodeURIComponent).join(':')
  return `postgres://${login}@${host.includes(':') ? `[${host}]` : host}:${port}/${encodeURIComponent(name ?? '')}`
}

/**
 * Newest first. `BETTER_AUTH_SECRET` beside the list is its oldest entry, as Better Auth reads it. The mark of a
 * retired secret stands behind its version, where Better Auth, reading the same variable, does not mind it.
 */
export function secretsOf(variables: VariableSource): readonly AuthSecret[] {
  const secrets: AuthSecret[] = []
  for (const entry of variables.text('BETTER_AUTH_SECRETS')?.split(',') ?? []) {
    const [, version = '', mark, value = ''] = /^\s*(\d{1,9})(!?):(.*?)\s*$/s.exec(entry) ?? []
    const known = secrets.some(secret => secret.version === Number(version))
    if (version === '' || known) {
      variables.problem(
        'BETTER_AUTH_SECRETS',
        "must be 'version:secret,version:secret', newest first, every version once; 'version!:secret' is a retired one"
      )
    } else {
      const secret = checkedSecret('BETTER_AUTH_SECRETS', Number(version), value, variables)
      secrets.push(mark === '!' ? { ...secret, retired: true } : secret)
    }
  }
  const single = variables.text('BETTER_AUTH_SECRET')
  if (single !== null && secrets.every(({ value }) => value !== single)) {
    let version = 1
    while (secrets.some(secret => secret.version === version)) version++
    secrets.push(checkedSecret('BETTER_AUTH_SECRET', version, single, variables))
  }
  checkRetired(secrets, variables)
  return secrets
}

function checkRetired(secrets: readonly AuthSecret[], variables: VariableSource): void {
  const retired = secrets.filter(secret => secret.retired)
  if (secrets[0]?.retired)
    variables.problem('BETTER_AUTH_SECRETS', 'must begin with the secret that signs: it is retired')
  else if (retired.some(({ value }) => secrets.some(other => !other.retired && other.value === value))) {
    variables.problem('BETTER_AUTH_SECRETS', 'retires a secret that stands in the list a second time, not retired')
  }
}

function checkedSecret(name: VariableName, version: number, value: string, variables: VariableSource): AuthSecret {
  if (value.length < MIN_SECRET_LENGTH) {
    variables.problem(name, `must have at least ${MIN_SECRET_LENGTH} characters; make one with: openssl rand -hex 32`)
  } else if (value === WELL_KNOWN_SECRET) {
    variables.problem(name, 'is the one everybody knows; make one with: openssl rand -hex 32')
  }
  return { version, value }
}

export function mailOf(variables: VariableSource): MailTransport {
  const apiKey = variables.text('RESEND_API_KEY')
  const url = variables.read('SMTP_URL', values.smtpUrl, null)
  if (apiKey !== null && url !== null) {
    variables.problem('SMTP_URL', 'is set, and so is RESEND_API_KEY: keep one of them')
  }
  if (apiKey !== null) return { kind: 'resend', apiKey: apiKey.trim() }
  return url === null ? { kind: 'log' } : { kind: 'smtp', url }
}

export function socialProvidersOf(variables: VariableSource): Env['socialProviders'] {
  const pairs = [
    ['google', 'GOOGLE_CLIENT_ID', 'GOOGLE_CLIENT_SECRET'],
    ['github', 'GITHUB_CLIENT_ID', 'GITHUB_CLIENT_SECRET'],
    ['microsoft', 'MICROSOFT_CLIENT_ID', 'MICROSOFT_CLIENT_SECRET']
  ] as const
  const providers: { -readonly [Name in keyof Env['socialProviders']]: Env['socialProviders'][Name] } = {}
  for (const [provider, idName, secretName] of pairs) {
    const clientId = variables.text(idName)?.trim() ?? null
    const clientSecret = variables.text(secretName)?.trim() ?? null
    if (clientId !== null && clientSecret !== null) providers[provider] = { clientId, clientSecret }
    else if (variables.isSet(idName)) variables.require(secretName, `${idName} is set`)
    else if (variables.isSet(secretName)) variables.require(idName, `${secretName} is set`)
  }
  return providers
}
