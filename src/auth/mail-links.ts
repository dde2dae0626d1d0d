/**
 * Where the links in mails lead. Better Auth has checked a `callbackURL` the client gave against the trusted origins.
 */
import type { Env } from '../config/env.js'

type Places = Pick<Env, 'baseUrl' | 'frontendUrl' | 'corsOrigins'>

/** Without a callback of the client's: on to the front end, or no further than the answer itself. */
export function verificationLink(url: string, { baseUrl, frontendUrl, corsOrigins }: Places): string {
  const link = new URL(url)
  if (link.searchParams.get('callbackURL') === '/') {
    // Better Auth refuses a link that would lead outside the trusted origins.
    const trusted = frontendUrl !== null && [baseUrl, ...corsOrigins].includes(new URL(frontendUrl).origin)
    if (trusted) link.searchParams.set('callbackURL', frontendUrl)
    else link.searchParams.delete('callbackURL')
  }
  return link.href
}

/** Without a callback Better Auth's own link ends in an error page, so it leads to a page with the form. */
export function passwordResetLink(url: string, token: string, { baseUrl, frontendUrl }: Places): string {
  if (new URL(url).searchParams.get('callbackURL')) return url
  const page = frontendUrl === null ? `${baseUrl}/.gateway` : frontendUrl.replace(/\/$/, '')
  return `${page}/reset-password?token=${encodeURIComponent(token)}`
}
