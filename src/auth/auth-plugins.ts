/**
 * Which of Better Auth's plugins run here: those the gateway relies on, and those whose tables an existing
 * database already has. Two-factor belongs to the second kind for a reason: a user who turned it on elsewhere
 * must not be able to sign in here with the password alone.
 */
import type { BetterAuthPlugin } from 'better-auth'
import { admin, bearer, jwt, openAPI, organization, twoFactor } from 'better-auth/plugins'

/** The same object goes to the plugin and to whoever signs with its keys. */
export const JWT_OPTIONS = {
  // The header would cost every get-session a key look-up and a signature (2.8 ms measured).
  disableSettingJwtHeader: true,
  jwt: {
    expirationTime: '15m',
    // The default payload is the whole user row, the reason for a ban among it.
    definePayload: ({ user, session }: SessionAndUser) => ({
      sid: session.id,
      email: user.email,
      email_verified: user.emailVerified,
      roles: rolesOf(user.role)
    })
  }
}

interface SessionAndUser {
  readonly user: { readonly email: string; readonly emailVerified: boolean; readonly role?: unknown }
  readonly session: { readonly id: string }
}

export function createPlugins(models: ReadonlySet<string>, production: boolean): BetterAuthPlugin[] {
  const plugins: BetterAuthPlugin[] = [admin()]
  // Before bearer, whose hook would otherwise hand out the token of the session that this one takes back.
  if (models.has('twoFactor')) plugins.push(twoFactor())
  // A raw token is what the database holds: a leaked backup must not be a bunch of keys.
  plugins.push(bearer({ requireSignature: true }))
  if (models.has('jwks')) plugins.push(jwt(JWT_OPTIONS))
  if (['organization', 'member', 'invitation'].every(model => models.has(model))) plugins.push(organization())
  // Its page loads a script from jsdelivr.net: for developers only.
  if (!production) plugins.push(openAPI())
  return plugins
}

function rolesOf(role: unknown): string[] {
  return String(role ?? '')
    .split(',')
    .map(word => word.trim())
    .filter(word => word !== '')
}
