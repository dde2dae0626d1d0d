/**
 * Which requests may have changed something that a cache holds. Anything of which this is not known for certain: a
 * link in a mail, a callback, an endpoint of a plugin that nobody here has heard of.
 */

/** GETs that only look; test/integration/revocation/looks.test.ts asks each of them. */
export const LOOKS: ReadonlySet<string> = new Set([
  '/get-session',
  '/list-sessions',
  '/list-accounts',
  '/account-info',
  '/ok',
  '/error',
  '/token',
  '/jwks',
  '/reference',
  '/open-api/generate-schema',
  '/admin/get-user',
  '/admin/list-users',
  // Not get-organization and get-full-organization: to a stranger they say no, and take his active organisation away.
  '/organization/list',
  '/organization/list-members',
  '/organization/list-invitations',
  '/organization/list-user-invitations',
  '/organization/get-invitation',
  '/organization/get-active-member',
  '/organization/get-active-member-role'
])

export function mayChangeState(method: string, endpoint: string): boolean {
  return method === 'GET' ? !LOOKS.has(endpoint) : method !== 'HEAD' && method !== 'OPTIONS'
}
