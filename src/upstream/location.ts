/**
 * Redirects in the client's words. An upstream knows its own address and its paths without the prefix the route cuts:
 * left alone, `Location: http://orders-1:8000/7/` names a host no client can reach, and `/7/` a path of somebody else.
 */

export interface LocationScope {
  /** Host, and port where it is not the scheme's own, of every target. */
  readonly ownAuthorities: ReadonlySet<string>
  /** What the route cuts off; null: nothing. */
  readonly stripPrefix: string | null
  /** Of the route, with its final `/*` if it has one. */
  readonly routePath: string
}

/** Whatever the scheme: one that believes X-Forwarded-Proto puts https before its own name. */
const ABSOLUTE = /^(?:https?:)?\/\/([^/\\?#]*)(.*)$/is
/** One slash: two of them, as browsers read them, would name another host. */
const ON_THIS_HOST = /^\/(?![/\\\t])/

/**
 * An address of the upstream's own becomes a path, which the client resolves against the name it asked us by. A path
 * gets the prefix back where that leads to the same route again. All else is a redirect to somewhere else and stays.
 */
export function publicLocation(location: string, scope: LocationScope): string {
  if (ON_THIS_HOST.test(location)) return leadsBack(location, scope) ? withPrefix(location, scope) : location
  const [, authority = '', rest = ''] = ABSOLUTE.exec(location) ?? []
  if (!scope.ownAuthorities.has(authority.toLowerCase())) return location
  const path = rest.startsWith('/') ? rest : `/${rest}`
  return ON_THIS_HOST.test(path) ? withPrefix(path, scope) : location
}

/** Unless it is there already: some are told of it by their own configuration. */
function withPrefix(path: string, { stripPrefix }: LocationScope): string {
  return stripPrefix === null || isAtOrBelow(path, stripPrefix) ? path : stripPrefix + path
}

function leadsBack(path: string, { stripPrefix, routePath }: LocationScope): boolean {
  if (stripPrefix === null) return false
  const isWildcard = routePath.endsWith('/*')
  return isWildcard && isAtOrBelow(stripPrefix + path, routePath.slice(0, -2))
}

function isAtOrBelow(reference: string, base: string): boolean {
  return reference.startsWith(base) && /^(?:[/?#]|$)/.test(reference.slice(base.length))
}
