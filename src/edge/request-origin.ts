/**
 * Did one of our own pages send this? Browsers attach cookies to requests of any site, so an unsafe method with a
 * cookie needs an Origin of ours (contract section 5, R44). A bearer token is never attached by itself.
 */
import type { IncomingHttpHeaders } from 'node:http'

/** RFC 9110 section 9.2.1: these change nothing. */
export const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Exact, lower case: the base URL's own and CORS_ORIGINS. */
export function allowedOrigins(env: { readonly baseUrl: string; readonly corsOrigins: readonly string[] }) {
  return new Set([env.baseUrl, ...env.corsOrigins].map(origin => origin.toLowerCase()))
}

/** Origin decides when it is there; without it only the browser's own word that no other site is behind it. */
export function isFromOurPage(headers: IncomingHttpHeaders, allowed: ReadonlySet<string>): boolean {
  if (headers.origin !== undefined) return allowed.has(headers.origin.toLowerCase())
  const site = headers['sec-fetch-site']
  return site === 'same-origin' || site === 'none'
}
