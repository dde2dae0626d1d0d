import { createAuthClient } from 'better-auth/react'

/** The gateway's public address, as the browser sees it. Cookies are set by it, so every call carries credentials. */
export const gatewayUrl = process.env.NEXT_PUBLIC_GATEWAY_URL ?? 'http://localhost:8080'

export const authClient = createAuthClient({ baseURL: gatewayUrl, fetchOptions: { credentials: 'include' } })
