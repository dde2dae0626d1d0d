/** Where the links in mails lead. Better Auth has checked a `callbackURL` the client gave against the trusted origins. */
import type { Env } from '../config/env.js'

type Places = Pick<Env, 'baseUrl' | 'frontendUrl'>

/** Without a callback of the client's: on to the front end, or no further than the answer itself. */
export function verificationLink(url: string, { frontendUrl }: Places): string {
  const link = new URL(url)
  if (link.searchParams.get('callbackURL') === '/') {
    if (frontendUrl === null) link.searchParams.delete('callbackURL')
    else link.searchParams.set('callbackURL', frontendUrl)
  }
  return link.href
}

/** Without a callback Better Auth's own link ends in an error page, so it leads to a page with the form. */
export function passwordResetLink(url: string, token: string, { baseUrl, frontendUrl }: Places): string {
  if (new URL(url).searchParams.get('callbackURL')) return url
  const page = frontendUrl === null ? `${baseUrl}/.gateway` : frontendUrl.replace(/\/$/, '')
  return `${page}/reset-password?token=${encodeURIComponent(token)}`
}
