/**
 * The request target before it is routed. Servers must accept the absolute form (RFC 9112 section 3.2.2),
 * but routing looks at paths, so it is cut down to one here, and only when it names us: otherwise a client
 * could have one host judged and another one served. `OPTIONS *` asks about no path, so there is no route to answer it.
 */
import type { IncomingMessage } from 'node:http'

/** Has no canonical form, so whatever routes it answers BAD_PATH. */
const REFUSED = '//'
const ABSOLUTE = /^https?:\/\/([^/?#]+)([^#]*)$/i

/** `isOurs` is asked with a lower-case authority, `gw.example.com:8080`. */
export function createTargetRewriter(isOurs: (authority: string) => boolean) {
  return function rewriteTarget(request: IncomingMessage): string {
    const target = originForm(request, isOurs)
    return isDecodable(target) ? target : REFUSED
  }
}

function originForm({ url = '', headers }: IncomingMessage, isOurs: (authority: string) => boolean): string {
  if (url.charCodeAt(0) === 47) return url
  const [, authority = '', rest = ''] = ABSOLUTE.exec(url) ?? []
  const name = authority.toLowerCase()
  if (name !== headers.host?.toLowerCase() || !isOurs(name)) return REFUSED
  return rest.startsWith('/') ? rest : `/${rest}`
}

/** Fastify answers a bad escape before any hook runs: without a request id, a log line or a metric. */
function isDecodable(target: string): boolean {
  if (!target.includes('%')) return true
  const query = target.indexOf('?')
  try {
    decodeURIComponent(query < 0 ? target : target.slice(0, query))
    return true
  } catch {
    return false
  }
}
