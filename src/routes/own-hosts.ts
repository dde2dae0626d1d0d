/**
 * The hosts this gateway answers for. A name nobody gave it is not routed: under DNS rebinding a page of evil.test has
 * its own name pointed here, and the browser takes us for the page's own server.
 */
import { isIP } from 'node:net'
import type { Env } from '../config/env.js'

const NOT_PUBLIC = /\.(?:localhost|local|internal|svc)$/

/** Whether requests for a host, as `hostName` gives it, are taken at all. */
export type AnswersFor = (host: string) => boolean

/**
 * The host of BETTER_AUTH_URL, those of CORS_ORIGINS and of the routes, and all of COOKIE_DOMAIN. Addresses, and names
 * that public DNS does not have, no stranger can rebind, and health checks and neighbours use them. Attached, BETTER_AUTH_URL
 * is another server's and nothing says what ours is called: every host is taken.
 */
export function ownHosts(
  { authMode, baseUrl, corsOrigins, cookieDomain }: Pick<Env, 'authMode' | 'baseUrl' | 'corsOrigins' | 'cookieDomain'>,
  routes: readonly { readonly host: string | null }[]
): AnswersFor {
  if (authMode === 'attached') return () => true
  const named = new Set([baseUrl, ...corsOrigins].map(url => new URL(url).hostname))
  for (const { host } of routes) if (host !== null) named.add(host)
  const domain = cookieDomain === null ? null : `.${cookieDomain.replace(/^\./, '')}`
  return host => named.has(host) || isNotPublic(host) || (domain !== null && `.${host}`.endsWith(domain))
}

/** Of a Host line: lower case, no port, no final dot (`a.test.` is `a.test`). */
export function hostName(written: string): string {
  const host = written.toLowerCase()
  const port = host.lastIndexOf(':')
  const name = port > host.lastIndexOf(']') ? host.slice(0, port) : host
  return name.endsWith('.') ? name.slice(0, -1) : name
}

/** `gateway`, RFC 6761 and 6762, ICANN's `.internal`, and Kubernetes' `.svc` with and without what follows it. */
function isNotPublic(host: string): boolean {
  return !host.includes('.') || host.startsWith('[') || NOT_PUBLIC.test(host) || isIP(host) === 4
}
