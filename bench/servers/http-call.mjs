/** The gateway and the auth service apart: who is calling is asked of the other process by HTTP, for every request. */
import { serveGuarded } from './guarded-proxy.mjs'

await serveGuarded(async ({ headers }) => {
  const response = await fetch(`${process.env.AUTH_SERVICE}/api/auth/get-session`, {
    headers: { cookie: headers.cookie ?? '' }
  })
  const found = await response.json()
  return found?.user ?? null
})
