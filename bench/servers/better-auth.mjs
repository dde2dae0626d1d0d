/** What a team writes next: the same proxy, and `auth.api.getSession` before every request. */
import { fromNodeHeaders } from 'better-auth/node'
import { auth } from './better-auth-options.mjs'
import { serveGuarded } from './guarded-proxy.mjs'

await serveGuarded(async request => {
  const found = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) })
  return found?.user ?? null
})
